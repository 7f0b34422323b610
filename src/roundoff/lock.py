"""One run at a time in a folder, with a lock that dies with its holder."""

import fcntl
from pathlib import Path

from roundoff.errors import RoundoffError

_held = []


def single_run(path: Path) -> None:
    """Hold `path` for the life of this process, or say that another run holds it.

    The kernel releases the lock when the process ends, however it ends, so a killed
    run never leaves a stale lock behind (Snakemake's own lock does, and is off in the
    default profile).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open(path, "w")  # noqa: SIM115 (kept open: that is the lock)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise RoundoffError(
            f"another run is at work in {Path.cwd()}: wait for it, or stop it first. "
            "Two runs at once would compute the same files."
        ) from None
    _held.append(stream)


def is_running(path: Path) -> bool:
    """Whether a run holds the lock `path` now; asks only, and holds nothing."""
    if not path.is_file():
        return False
    with open(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
