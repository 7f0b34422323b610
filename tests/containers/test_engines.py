"""Real engines with an image of busybox alone: what a run may see, do and leave."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import engines
import pytest

from roundoff.errors import RoundoffError
from roundoff.runtimes import Limits, run
from roundoff.runtimes.execute import container_name

# One worker runs them all: they share an engine.
pytestmark = [pytest.mark.timeout(300)]

HOSTILE = "x; touch /tmp/owned $(id) `id` \"'&|>\\ é,:"


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """A folder to read and one to write, with hostile names."""
    read, write = tmp_path / "in, a 'b' $HOME", tmp_path / 'out; "c" & d'
    read.mkdir()
    write.mkdir()
    (read / "scan").write_text("brain\n")
    return read, write


def call(stub, *command, reads=(), writes=(), **options):
    runtime, image = stub
    env = options.pop("env", {})
    return run(
        [str(part) for part in command],
        env,
        runtime=runtime,
        image=image,
        reads=reads,
        writes=writes,
        **options,
    )


def script(stub, text, *arguments, **options):
    return call(stub, "sh", "-c", text, "sh", *arguments, **options)


def test_reads_and_writes_at_hostile_paths_as_the_caller(stub, folders):
    read, write = folders
    text = 'cat "$1" > "$2/copy" && id -u > "$2/user" && pwd > "$2/place"'
    status = script(
        stub, text, read / "scan", write, reads=[read], writes=[write], workdir=read
    )
    assert status == 0
    assert (write / "copy").read_text() == "brain\n"
    assert (write / "user").read_text() == f"{os.getuid()}\n"
    assert (write / "place").read_text() == f"{read}\n"
    assert (write / "copy").stat().st_uid == os.getuid()


def test_what_is_read_cannot_be_written(stub, folders):
    read, write = folders
    text = 'touch "$1/new" 2>/dev/null || exit 7'
    assert script(stub, text, read, reads=[read], writes=[write]) == 7
    assert sorted(p.name for p in read.iterdir()) == ["scan"]


def test_a_hostile_subject_is_only_a_word(stub, folders):
    _, write = folders
    text = 'echo "$1" > "$2/argument"; echo "$SUBJECT" > "$2/variable"'
    arguments = (HOSTILE, write)
    env = {"SUBJECT": HOSTILE}
    assert script(stub, text, *arguments, writes=[write], env=env) == 0
    assert (write / "argument").read_text() == f"{HOSTILE}\n"
    assert (write / "variable").read_text() == f"{HOSTILE}\n"
    assert not Path("/tmp/owned").exists()


def test_nothing_else_of_the_host_is_there(stub, folders, monkeypatch):
    read, write = folders
    monkeypatch.setenv("PYTHONPATH", "/of/the/host")
    text = 'ls "$1" 2>/dev/null; echo "[$PYTHONPATH]"; ls /sys/class/net'
    status = script(stub, f'({text}) > "$2/seen"', read, write, writes=[write])
    assert status in (0, 1)
    seen = (write / "seen").read_text().split()
    assert seen[0] == "[]"
    assert "scan" not in seen
    assert "eth0" not in seen


@pytest.mark.parametrize("status", [1, 2, 75])
def test_the_commands_own_status_comes_back(stub, status):
    assert script(stub, f"exit {status}") == status


def test_a_command_the_image_has_not_is_told(stub):
    with pytest.raises(RoundoffError, match=r"nothing-here|not start|is not in"):
        call(stub, "nothing-here")


def test_a_missing_image_is_told_at_once(stub, tmp_path):
    missing = (stub[0], "roundoff-test/none:1" if stub[0] == "docker" else "/no.sif")
    with pytest.raises(RoundoffError, match=r"has no image .*(none:1|sif)"):
        call(missing, "true", writes=[tmp_path / "out"])
    assert not (tmp_path / "out").exists()


def test_a_missing_input_is_told_before_anything_starts(stub, tmp_path):
    with pytest.raises(RoundoffError, match="no such file"):
        call(stub, "true", reads=[tmp_path / "scan.nii"], writes=[tmp_path / "out"])


def test_an_engine_that_does_not_answer_is_told(monkeypatch, docker, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(RoundoffError, match="docker does not work here"):
        call(("docker", "roundoff:1"), "true")


def test_a_container_killed_for_memory_is_told(docker, rootfs, tmp_path):
    engines.import_image(rootfs, engines.STUB, docker)
    hog = ("dd", "if=/dev/zero", f"of={tmp_path}/x", "bs=300M", "count=1")
    limits = Limits(memory_mb=60)
    with pytest.raises(RoundoffError, match=r"exit 137.*memory ran out \(limit 60 MB"):
        call(("docker", engines.STUB), *hog, writes=[tmp_path], limits=limits)


def test_a_container_ends_with_the_process_that_started_it(stub, tmp_path):
    started = tmp_path / "started"
    text = f'touch "{started}"; exec sleep 300'
    program = f"""
        from pathlib import Path
        from roundoff.runtimes import run
        run({["sh", "-c", text]!r}, {{}}, runtime={stub[0]!r}, image={stub[1]!r},
            reads=[], writes=[Path({str(tmp_path)!r})])
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    end = time.monotonic() + 60
    while not started.exists() and child.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    assert started.exists()
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 128 + signal.SIGTERM
    if stub[0] == "docker":
        name = container_name(["sh", "-c", text], [tmp_path])
        left = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", f"name={name}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert left.stdout == ""
