"""The training loop: one process or many, interrupted and resumed, stopped early."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from roundoff.errors import RoundoffError
from roundoff.training.checkpoint import (
    collect,
    load_state,
    restore,
    save_state,
)
from roundoff.training.history import Row, window_mean
from roundoff.training.processes import World


class Task(Protocol):
    """What is trained: the network, its samples and its objective."""

    def network(self) -> nn.Module:
        """The untrained network; its initial weights come from torch's generator."""

    def batch(self, numbers: Sequence[int]) -> Any:
        """The samples of these numbers: functions of the number alone."""

    def loss(self, network: nn.Module, batch: Any, done: float) -> dict[str, Tensor]:
        """ "loss" and other measures, means over the batch; `done`: share of steps."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. `batch`: samples per step over all processes.

    The learning rate rises over `warm_up` steps and falls over the last `descent`
    (a share of the steps) to a twentieth. Gradients are clipped to a norm of `clip`.
    `window`: steps whose mean is logged; training stops early when the loss of
    `patience` windows (0: never) in a row is not below the best before them.
    """

    steps: int = 300
    batch: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warm_up: int = 20
    descent: float = 0.3
    clip: float = 1.0
    window: int = 10
    patience: int = 0
    save_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "window", "save_every"):
            if getattr(self, name) < 1:
                raise RoundoffError(f"{name} is {getattr(self, name)}; at least 1")

    def rate(self, step: int) -> float:
        """Learning rate of a step (from 0 on)."""
        fall = (self.steps - step) / max(self.descent * self.steps, 1)
        rise = (step + 1) / max(self.warm_up, 1)
        return self.learning_rate * min(1.0, rise, max(0.05, fall))

    def numbers(self, step: int) -> range:
        """Numbers of the samples of a step, over all processes."""
        return range(step * self.batch, (step + 1) * self.batch)


def no_rounding(step: int) -> AbstractContextManager:
    """The context of a step of ordinary arithmetic."""
    return nullcontext()


def fit(
    task: Task,
    schedule: Schedule,
    *,
    world: World | None = None,
    state: Path | None = None,
    report: Callable[[Row], None] = lambda row: None,
    watch: Callable[[int, nn.Module, dict[str, float]], None] | None = None,
    arithmetic: Callable[[int], AbstractContextManager] = no_rounding,
    start: Callable[[nn.Module], None] = lambda network: None,
) -> tuple[nn.Module, list[Row]]:
    """Train the task's network; return it and the measured rows, one per window.

    `state`: checkpoint, written every `save_every` steps and at the end; a training
    that finds one goes on from there and ends with the same bytes. `watch` is called
    after every step (network and measures). `arithmetic`: the context forward,
    backward and update of a step run in. `start`: changes the initial network.
    """
    world = world or World()
    torch.manual_seed(schedule.seed)
    network = task.network().train()
    start(network)
    optimiser = _optimiser(network, schedule, world)
    first, rows, pending = 0, [], []
    if state is not None and state.exists():
        first, rows, pending = _resume(state, schedule, network, optimiser)
    model = network
    if world.size > 1:
        model = DistributedDataParallel(network, gradient_as_bucket_view=True)
    for step in range(first, schedule.steps):
        if _stalled(rows, schedule.patience):
            break
        torch.manual_seed(schedule.seed + step)  # of layers that draw, like dropout
        with arithmetic(step):
            measures = _step(task, model, optimiser, schedule, step, world)
        pending.append({"step": step + 1, **measures})
        if watch:
            watch(step, network, measures)
        if len(pending) == schedule.window or step + 1 == schedule.steps:
            rows.append(window_mean(pending))
            pending = []
            report(rows[-1])
        if state is not None and (step + 1) % schedule.save_every == 0:
            _save(state, schedule, network, optimiser, step + 1, rows, pending)
    if state is not None:
        done = int(rows[-1]["step"])
        _save(state, schedule, network, optimiser, done, rows, pending)
    return network.eval(), rows


def _optimiser(network: nn.Module, schedule: Schedule, world: World) -> Optimizer:
    options = {"lr": schedule.learning_rate, "weight_decay": schedule.weight_decay}
    if world.size > 1:
        return ZeroRedundancyOptimizer(
            network.parameters(), torch.optim.AdamW, **options
        )
    return torch.optim.AdamW(network.parameters(), **options)


def _step(task, model, optimiser, schedule, step, world) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(step)
    batch = task.batch(world.share(schedule.numbers(step)))
    measures = task.loss(model, batch, step / schedule.steps)
    optimiser.zero_grad()
    measures["loss"].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
    optimiser.step()
    values = world.mean(torch.stack([v.detach() for v in measures.values()]))
    return dict(zip(measures, values.tolist(), strict=True))


def _stalled(rows: Sequence[Row], patience: int) -> bool:
    """Whether the last `patience` windows brought no lower loss."""
    if not patience or len(rows) <= patience:
        return False
    losses = [row["loss"] for row in rows]
    return min(losses[-patience:]) >= min(losses[:-patience])


def _resume(state, schedule, network, optimiser) -> tuple[int, list[Row], list[Row]]:
    tensors, numbers = load_state(state, asdict(schedule))
    restore(tensors, network, optimiser)
    return numbers["step"], numbers["rows"], numbers["pending"]


def _save(state, schedule, network, optimiser, step, rows, pending) -> None:
    tensors = collect(network, optimiser)
    if tensors is not None:
        numbers = {"step": step, "rows": rows, "pending": pending}
        save_state(state, tensors, {"schedule": asdict(schedule), **numbers})
