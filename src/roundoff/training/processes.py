"""One process or many: who takes part in a training, and how they are joined."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from roundoff.errors import RoundoffError

SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS"}


@dataclass(frozen=True)
class World:
    """This process among those that train one network together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, numbers: range) -> range:
        """This process's part of the sample numbers of one step.

        Raises RoundoffError when they cannot be dealt out evenly: then the mean of
        the processes' gradients would not be the mean over the samples.
        """
        if len(numbers) % self.size:
            raise RoundoffError(
                f"batch is {len(numbers)}, which {self.size} processes cannot share "
                "evenly; make it a multiple of them"
            )
        part = len(numbers) // self.size
        return numbers[self.rank * part : (self.rank + 1) * part]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
            values = values / self.size
        return values


@contextmanager
def joined(slurm: bool = False) -> Iterator[World]:
    """Join the processes `torchrun` started, if it did, over gloo.

    `slurm`: they are the tasks of one `srun`, told apart by Slurm's variables;
    MASTER_ADDR and MASTER_PORT must be set (docs/training.md).
    """
    if slurm:
        os.environ.update(_of_slurm(os.environ))
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield World()
        return
    dist.init_process_group("gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _of_slurm(variables: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in SLURM.values() if name not in variables]
    if missing:
        raise RoundoffError(
            f"--slurm: {missing[0]} is not set; start the command with srun"
        )
    found = {name: variables[theirs] for name, theirs in SLURM.items()}
    if int(found["WORLD_SIZE"]) > 1:
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if name not in variables:
                raise RoundoffError(
                    f"--slurm: {name} is not set; export it before srun "
                    "(docs/training.md)"
                )
    return found
