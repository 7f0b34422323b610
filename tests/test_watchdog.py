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


def test_a_hanging_process_and_its_children_are_ended():
    # The lock is taken twice: no Python code of this process runs ever again.
    done, seconds = run(0.02, "x = threading.Lock(); x.acquire(); x.acquire()")
    assert done.returncode == -9
    assert "error: no result within the limit" in done.stderr
    assert seconds < 20
    child = int(done.stdout)
    ended = not psutil.pid_exists(child)
    assert ended or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_ends_in_time_says_nothing():
    done, seconds = run(1, "child.kill()")
    assert (done.returncode, done.stderr) == (0, "")
    assert seconds < 20
