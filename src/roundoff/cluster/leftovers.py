"""Slurm jobs that outlived the run that submitted them.

A driver killed by SIGKILL (or with its login node) leaves its jobs running. The next
run would compute the same files beside them, so it cancels them first.
"""

import subprocess
import time
from getpass import getuser
from pathlib import Path

from roundoff.errors import RoundoffError

# Base id of an array job, comment (the plugin writes rule_* or group_*), folder.
FORMAT = "%F|%k|%Z"


def cancel_leftovers(folder: Path, patience: float = 120) -> list[str]:
    """Cancel this user's workflow jobs submitted from `folder`; return their ids.

    Returns once they have ended, so that none of them still writes. Raises
    `RoundoffError` when Slurm does not answer or a job stays after `patience` seconds.
    """
    found = leftovers(folder)
    if not found:
        return []
    _slurm("scancel", *found)
    end = time.monotonic() + patience
    while left := leftovers(folder):
        if time.monotonic() > end:
            raise RoundoffError(
                f"the jobs {' '.join(left)} of an earlier run in {folder} do not end: "
                f"look with `squeue --jobs {','.join(left)}`, then start again."
            )
        time.sleep(1)
    return found


def leftovers(folder: Path) -> list[str]:
    """Ids of unfinished workflow jobs of this user submitted from `folder`."""
    text = _slurm("squeue", "--noheader", f"--user={getuser()}", f"--format={FORMAT}")
    rows = [row.strip().split("|", 2) for row in text.splitlines() if row.strip()]
    here = folder.resolve()
    found = {
        job
        for job, comment, place in rows
        if comment.startswith(("rule_", "group_")) and Path(place).resolve() == here
    }
    return sorted(found, key=int)


def _slurm(*command: str, limit: float = 30, attempts: int = 3) -> str:
    """Run a Slurm client; one that talks to a dead slurmctld hangs for minutes."""
    for attempt in range(attempts):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, check=True
            )
            return done.stdout
        except subprocess.TimeoutExpired:
            reason = f"no answer within {limit:g} s"
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip()
        time.sleep(attempt + 1)
    raise RoundoffError(
        f"Slurm does not answer `{command[0]}` ({reason}), so jobs of an earlier run "
        "may still write here. Start again when it answers."
    )
