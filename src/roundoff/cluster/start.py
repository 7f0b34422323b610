"""What happens once at the start of a run, where there is Slurm."""

import shutil
from pathlib import Path

from roundoff.cluster.asking import ask_squeue
from roundoff.cluster.leftovers import cancel_leftovers

MARK = "roundoff.slurm"


def start_on_slurm(remote: bool, state: Path = Path(".snakemake")) -> list[str]:
    """Cancel jobs of an earlier run of this folder; prepare for asking Slurm.

    `remote`: this run submits jobs. A local run looks for jobs too if an earlier one
    submitted some here. Returns the jobs cancelled. To be called while the lock of the
    run is held, so that no other run of the folder is alive.
    """
    mark = state / MARK
    if shutil.which("squeue") is None or not (remote or mark.exists()):
        return []
    cancelled = cancel_leftovers(Path.cwd())
    if remote:
        state.mkdir(exist_ok=True)
        mark.touch()
        ask_squeue(state / "roundoff-slurm")
    else:
        mark.unlink()
    return cancelled
