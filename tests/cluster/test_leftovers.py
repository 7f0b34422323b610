"""Jobs that outlived their run are found and cancelled, and only those."""

import os
from pathlib import Path

import pytest

from roundoff.cluster import leftovers
from roundoff.cluster.leftovers import cancel_leftovers
from roundoff.cluster.start import start_on_slurm
from roundoff.errors import RoundoffError


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with jobs of its own in a played queue, and jobs of others."""
    folder = tmp_path / "my study"
    programs = tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    queue = tmp_path / "queue"
    queue.write_text(
        f"12|rule_infer_tiny_wildcards_01|{folder}\n"
        f"9|group_measure|{folder}\n"
        f"9|group_measure|{folder}\n"
        f"13|rule_infer_tiny|{tmp_path}/another study\n"
        f"14|my own job|{folder}\n"
    )
    play(programs, "squeue", f'echo "$*" >> "{tmp_path}/asked"; cat "{queue}"')
    play(programs, "scancel", f'echo "$*" >> "{tmp_path}/scancel"; : > "{queue}"')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(leftovers.time, "sleep", lambda seconds: None)
    monkeypatch.chdir(folder)
    return folder


def play(folder, name, line):
    (folder / name).write_text(f"#!/bin/bash\n{line}\n")
    (folder / name).chmod(0o755)


def test_jobs_of_this_folder_alone_are_cancelled(study, tmp_path):
    assert cancel_leftovers(study) == ["9", "12"]
    assert (tmp_path / "scancel").read_text() == "9 12\n"


def test_nothing_is_cancelled_where_nothing_is_left(study, tmp_path):
    (tmp_path / "queue").write_text("")
    assert cancel_leftovers(study) == []
    assert not (tmp_path / "scancel").exists()


def test_a_job_that_does_not_end_stops_the_run(study, tmp_path):
    play(tmp_path / "bin", "scancel", "true")
    with pytest.raises(RoundoffError, match="jobs 9 12 of an earlier run"):
        cancel_leftovers(study, patience=0)


def test_a_silent_slurm_stops_the_run(study, tmp_path):
    play(tmp_path / "bin", "squeue", "echo 'Unable to contact' >&2; exit 1")
    with pytest.raises(RoundoffError, match="Unable to contact"):
        cancel_leftovers(study)


def test_a_local_run_asks_only_after_one_on_slurm(study, tmp_path):
    assert start_on_slurm(remote=False) == []
    assert not (tmp_path / "asked").exists()
    Path(".snakemake").mkdir()
    Path(".snakemake/roundoff.slurm").touch()
    assert start_on_slurm(remote=False) == ["9", "12"]
    assert start_on_slurm(remote=False) == []


def test_a_run_on_slurm_leaves_its_mark(study, tmp_path):
    assert start_on_slurm(remote=True) == ["9", "12"]
    assert Path(".snakemake/roundoff.slurm").exists()
    assert os.environ["PATH"].startswith(str(study / ".snakemake/roundoff-slurm"))


def test_a_machine_without_slurm_is_left_alone(study, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert start_on_slurm(remote=True) == []
    assert not Path(".snakemake").exists()
