"""The programs put before squeue and sacct: what they answer, with Slurm played."""

import os
import subprocess

import pytest

from roundoff.cluster.asking import ask_squeue

QUERY = ["--format=%i|%T", "--states=all", "--noheader", "--name", "run-1"]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder of programs that print what files beside them say."""
    programs = tmp_path / "bin"
    programs.mkdir()
    play(programs, "squeue", f'cat "{programs}/jobs" 2>&1')
    play(programs, "sacct", 'echo "the real sacct: $*"')
    play(programs, "scontrol", f'cat "{programs}/show"; exit 1')
    (programs / "show").write_text("slurm_load_jobs error: Invalid job id specified\n")
    (programs / "jobs").write_text("7|RUNNING\n8|CANCELLED\n")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs


def play(folder, name, line):
    (folder / name).write_text(f"#!/bin/bash\n{line}\n")
    (folder / name).chmod(0o755)


def ask(program, *arguments):
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_sacct_asks_squeue_about_the_jobs_of_a_run(slurm, tmp_path):
    ask_squeue(tmp_path / "ours")
    query = ["-X", "--parsable2", "--format=JobIdRaw,State", "--name", "run-1"]
    assert ask("sacct", *query) == (0, ["7|RUNNING", "8|CANCELLED"])


def test_other_questions_go_to_the_real_sacct(slurm, tmp_path):
    ask_squeue(tmp_path / "ours")
    assert ask("sacct", "-j", "7.0") == (0, ["the real sacct: -j 7.0"])


def test_a_forgotten_job_is_listed_as_completed(slurm, tmp_path):
    ask_squeue(tmp_path / "ours")
    assert ask("squeue", *QUERY)[1] == ["7|RUNNING", "8|CANCELLED"]
    (slurm / "jobs").write_text("9|RUNNING\n")
    assert ask("squeue", *QUERY)[1] == ["9|RUNNING", "7|COMPLETED", "8|COMPLETED"]
    (slurm / "jobs").write_text("")
    answer = ask("squeue", *QUERY)[1]
    assert answer == ["7|COMPLETED", "8|COMPLETED", "9|COMPLETED"]


def test_silence_about_a_job_is_no_answer(slurm, tmp_path):
    ask_squeue(tmp_path / "ours")
    ask("squeue", *QUERY)
    (slurm / "jobs").write_text("8|CANCELLED\n")
    (slurm / "show").write_text("slurm_load_jobs error: Unable to contact controller\n")
    assert ask("squeue", *QUERY)[1] == ["8|CANCELLED"]


def test_a_failing_squeue_stays_a_failure(slurm, tmp_path):
    play(slurm, "squeue", 'echo "Unable to contact slurm controller" >&2; exit 1')
    ask_squeue(tmp_path / "ours")
    assert ask("squeue", *QUERY)[0] == 1
    assert ask("sacct", "--name", "run-1")[0] == 1


def test_a_second_start_does_not_ask_itself(slurm, tmp_path):
    ask_squeue(tmp_path / "ours")
    ask_squeue(tmp_path / "ours")
    assert ask("squeue", *QUERY)[1] == ["7|RUNNING", "8|CANCELLED"]
    folders = os.environ["PATH"].split(":")
    assert folders.count(str(tmp_path / "ours")) == 1
