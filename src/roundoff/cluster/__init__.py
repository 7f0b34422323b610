"""What a run on a Slurm cluster needs beside Snakemake's plugin."""

from roundoff.cluster.asking import ask_squeue
from roundoff.cluster.leftovers import cancel_leftovers
from roundoff.cluster.start import start_on_slurm

__all__ = ["ask_squeue", "cancel_leftovers", "start_on_slurm"]
