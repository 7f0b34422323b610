"""The state of a training on disk: whole or not at all, resumable to the same bytes."""

from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError


def save_state(path: Path, state: dict) -> None:
    """Write tensors and numbers by name, atomically. Equal states give equal bytes."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, schedule: dict) -> dict:
    """Read what `save_state` wrote, without running pickled code.

    Raises RoundoffError when it belongs to a training of another schedule.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    stored = state["schedule"]
    differing = [k for k in schedule if stored.get(k) != schedule[k]]
    if differing:
        name = differing[0]
        raise RoundoffError(
            f"{path}: the checkpoint was trained with {name} = {stored.get(name)!r}, "
            f"now it is {schedule[name]!r}; remove the file to start anew"
        )
    return state


def collect(network: nn.Module, optimiser: Optimizer) -> dict:
    """Tensors of a network and its optimiser, brought together on process 0.

    Every process must call it; on the others the optimiser's part is left out.
    """
    if hasattr(optimiser, "consolidate_state_dict"):
        optimiser.consolidate_state_dict(to=0)
        if torch.distributed.get_rank():
            return {"network": network.state_dict()}
    return {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
