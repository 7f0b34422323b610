"""A time limit for a process that holds even where it hangs in compiled code."""

import contextlib
import os
import sys
import time

import psutil


def limit_time(minutes: float, words: str) -> None:
    """End this process and its children after so many minutes, saying `words`.

    A second process watches, so that nothing this one does (a call that never returns,
    a lock never released) keeps it from ending. It goes when this process goes.
    """
    watched = os.getpid()
    if os.fork():
        return
    try:
        _watch(watched, time.monotonic() + 60 * minutes, words)
    finally:
        os._exit(0)


def _watch(watched: int, deadline: float, words: str) -> None:
    while time.monotonic() < deadline:
        if os.getppid() != watched:
            return
        time.sleep(0.2)
    print(f"error: {words}", file=sys.stderr, flush=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(watched)
        for process in (*parent.children(recursive=True), parent):
            if process.pid != os.getpid():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
