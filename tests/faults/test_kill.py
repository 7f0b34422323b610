"""kill -9 at any moment, then the same command: the same results, bit for bit."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from faults_support import line_with

# One worker runs them all: they share the undisturbed study.
AGAIN = "run again: identical"


def processes_of(study, script: str) -> list[int]:
    """Processes that run a script of the workflow for this study."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            here = (entry / "cwd").resolve() == study.folder.resolve()
        except OSError:
            continue
        if here and f"/{script}".encode() in command and b"python" in command:
            found.append(int(entry.name))
    return found


def start(study) -> subprocess.Popen:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        study.command(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_job(study, driver, script="infer.py", limit=900) -> list[int]:
    """Wait until a job runs this script."""
    end = time.monotonic() + limit
    while time.monotonic() < end and driver.poll() is None:
        if found := processes_of(study, script):
            return found
        time.sleep(0.05)
    pytest.fail(f"no job ran {script}")


def test_killed_job(short_finished, short, drill):
    driver = start(short)
    victims = wait_for_job(short, driver)
    time.sleep(1.0)
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    output, _ = driver.communicate(timeout=1500)
    seen = line_with(output, "Exiting because a job execution failed")
    short.run()
    assert short.checksums() == short_finished.checksums()
    drill("`kill -9` of jobs", seen, AGAIN)


def test_killed_run(short_finished, short, drill):
    driver = start(short)
    wait_for_job(short, driver)
    moment = random.uniform(0, 6)
    print(f"killed {moment:.2f} s after the first sample started")
    time.sleep(moment)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait(timeout=60)
    while processes_of(short, "infer.py"):  # jobs in groups of their own
        for left in processes_of(short, "infer.py"):
            os.kill(left, signal.SIGKILL)
        time.sleep(0.2)
    short.run()
    assert short.checksums() == short_finished.checksums()
    drill("`kill -9` of the driver and its jobs", "", AGAIN)
