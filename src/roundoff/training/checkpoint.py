"""The state of a training on disk: whole or not at all, resumable to the same bytes."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError

KEY = "training"  # one entry: safetensors writes several in no fixed order


def save_state(path: Path, tensors: dict[str, Tensor], numbers: dict) -> None:
    """Write tensors and (as JSON) numbers, atomically. Equal states, equal bytes."""
    with atomic_path(path) as temporary:
        kept = {name: value.contiguous() for name, value in tensors.items()}
        save_file(kept, temporary, {KEY: json.dumps(numbers)})
        temporary.chmod(0o644)  # safetensors lets the owner alone read


def load_state(path: Path, schedule: dict) -> tuple[dict[str, Tensor], dict]:
    """Read what `save_state` wrote.

    Raises RoundoffError when it belongs to a training of another schedule.
    """
    with safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()[KEY])
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    stored = numbers["schedule"]
    differing = [k for k in schedule if stored.get(k) != schedule[k]]
    if differing:
        name = differing[0]
        raise RoundoffError(
            f"{path}: the checkpoint was trained with {name} = {stored.get(name)!r}, "
            f"now it is {schedule[name]!r}; remove the file to start anew"
        )
    return tensors, numbers


def collect(network: nn.Module, optimiser: Optimizer) -> dict[str, Tensor] | None:
    """Tensors of a network and its optimiser, brought together on process 0.

    Every process must call it; the others get None.
    """
    if hasattr(optimiser, "consolidate_state_dict"):
        optimiser.consolidate_state_dict(to=0)
        if optimiser.rank:
            return None
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
    return tensors


def restore(
    tensors: dict[str, Tensor], network: nn.Module, optimiser: Optimizer
) -> None:
    """Put what `collect` gave back into a network and its optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    weights = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "network":
            weights[rest] = value
        else:
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = value
    network.load_state_dict(weights)
    group = {k: v for k, v in optimiser.param_groups[0].items() if k != "params"}
    group["params"] = list(range(len(list(network.parameters()))))
    optimiser.load_state_dict({"state": state, "param_groups": [group]})
