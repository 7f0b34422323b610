"""A process that hangs ends at its time limit, with a sentence."""

import subprocess
import sys
import time

import psutil

HANGING = """
import subprocess, sys, threading
from roundoff.watchdog import limit_time
limit_time({minutes}, "no result within the limit")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
{then}
"""


def run(minutes, then):
    code = HANGING.format(minutes=minutes, then=then)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return done, time.monotonic() - start


def has_ended(pid, limit=10):
    """Whether a process ends soon; one that nobody waits for stays as a zombie."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_hanging_process_and_its_children_are_ended():
    # The lock is taken twice: no Python code of this process runs ever again.
    done, seconds = run(0.02, "x = threading.Lock(); x.acquire(); x.acquire()")
    assert done.returncode == -9
    assert "error: no result within the limit" in done.stderr
    assert seconds < 20
    assert has_ended(int(done.stdout))


def test_a_process_that_ends_in_time_says_nothing():
    done, seconds = run(1, "child.kill()")
    assert (done.returncode, done.stderr) == (0, "")
    assert seconds < 20
