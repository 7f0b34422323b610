"""How stable a training is: the same one many times, in three arms.

`control`: ordinary arithmetic, everything the same; `rounding`: random rounding of
every operation of forward, backward and update; `seeds`: other initial weights and
other samples, as in arXiv 2509.05238.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError
from roundoff.rounding import RandomRounding
from roundoff.seeds import derive_seed
from roundoff.training.engine import Schedule, Task, fit
from roundoff.uncertainty.dice import PairwiseDice
from roundoff.uncertainty.significant_bits import State, bits_of_slab

ARMS = ("control", "rounding", "seeds")
POINTS = 10  # moments along a training at which weights and outputs are kept
BITS = range(23, 0, -1)


class Repeatable(Task, Protocol):
    """A task that can be had with other samples."""

    def reseeded(self, seed: int) -> Self:
        """The same task, its samples drawn from another seed."""


@dataclass(frozen=True)
class Seen:
    """What a network makes of what it never saw, in plain arithmetic: `outputs` (V,)
    float32, `labels` (W,) uint8, their mean Dice with the truth."""

    outputs: NDArray
    labels: NDArray
    dice: float


Probe = Callable[[nn.Module], Seen]


@dataclass(frozen=True)
class Traces:
    """Runs of one arm: losses (N, steps) float32; at the kept steps (K,) weights
    (N, K, W) and outputs (N, K, V) float32, labels (N, K, L) uint8, dice (N, K)."""

    steps: NDArray
    losses: NDArray
    weights: NDArray
    outputs: NDArray
    labels: NDArray
    dice: NDArray


def train_once(
    name: str,
    task: Repeatable,
    schedule: Schedule,
    arm: str,
    number: int,
    probe: Probe,
    report: Callable[[dict], None] = lambda row: None,
    start: Callable[[nn.Module], None] = lambda network: None,
) -> dict[str, NDArray]:
    """Training `number` (from 0) of an arm, as arrays of `Traces` without N.

    `name`: of the network; random rounding draws other numbers for another name.
    `start`: changes the initial network, as in `fit`.
    """
    if arm not in ARMS:
        raise RoundoffError(f"arm is {arm!r}, expected one of {', '.join(ARMS)}")
    if arm == "seeds":
        task = task.reseeded(schedule.seed + number)
        schedule = replace(schedule, seed=schedule.seed + number)
    every = max(1, schedule.steps // POINTS)
    losses, kept = [], []

    def watch(step, network, measures) -> None:
        losses.append(measures["loss"])
        if (step + 1) % every == 0 or step + 1 == schedule.steps:
            kept.append((step + 1, flat_weights(network), probed(probe, network)))

    def arithmetic(step):
        if arm != "rounding":
            return nullcontext()
        seed = derive_seed(schedule.seed, "training", name, arm, number + 1)
        return RandomRounding(seed=seed, sample=step)

    hooks = {"report": report, "watch": watch, "start": start}
    fit(task, schedule, arithmetic=arithmetic, **hooks)
    steps, weights, seen = zip(*kept, strict=True)
    return {
        "losses": np.array(losses, np.float32),
        "steps": np.array(steps, np.int64),
        "weights": np.stack(weights),
        "outputs": np.stack([s.outputs for s in seen]),
        "labels": np.stack([s.labels for s in seen]),
        "dice": np.array([s.dice for s in seen], np.float32),
    }


def flat_weights(network: nn.Module) -> NDArray:
    """All weights as one vector (W,) float32."""
    parts = [p.detach().contiguous().flatten() for p in network.parameters()]
    return torch.cat(parts).numpy().copy()


def probed(probe: Probe, network: nn.Module) -> Seen:
    """What the network makes of the unseen, without a trace in its training."""
    network.eval()
    try:
        with torch.inference_mode():
            return probe(network)
    finally:
        network.train()


def save_traces(path: Path, arrays: dict[str, NDArray], arm: str) -> None:
    """Write one training's arrays as safetensors."""
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, {"arm": arm})
        temporary.chmod(0o644)


def load_arms(paths: list[Path]) -> dict[str, Traces]:
    """Read runs and join those of each arm. Raises RoundoffError below two of one."""
    runs: dict[str, list] = {arm: [] for arm in ARMS}
    for path in paths:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
            runs[file.metadata()["arm"]].append(arrays)
    arms = {}
    for arm, found in runs.items():
        if len(found) < 2:
            raise RoundoffError(f"stability: arm {arm} has {len(found)} runs, needs 2")
        joined = {k: np.stack([run[k] for run in found]) for k in found[0]}
        arms[arm] = Traces(**{**joined, "steps": joined["steps"][0]})
    return arms


def mean_bits(samples: NDArray) -> tuple[float, float]:
    """Mean significant bits over values (N, V), and the share identical in all N.

    General estimator; what is identical counts as 23, the most float32 shows.
    """
    bits = bits_of_slab(np.ascontiguousarray(samples))
    shown = np.isin(bits.state, (State.MEASURED, State.IDENTICAL))
    mean = float(bits.general[shown].mean()) if shown.any() else float("nan")
    return mean, float((bits.state == State.IDENTICAL).mean())


def loss_table(arms: dict[str, Traces]) -> pd.DataFrame:
    """Per arm and step: mean, smallest and largest loss, bits, whether identical."""
    rows = []
    for arm, traces in arms.items():
        for step, losses in enumerate(traces.losses.T, start=1):
            bits, same = mean_bits(losses[:, None])
            spread = {"mean": losses.mean(), "min": losses.min(), "max": losses.max()}
            rows.append(
                {
                    "arm": arm,
                    "step": step,
                    **spread,
                    "bits": bits,
                    "identical": same == 1,
                }
            )
    return pd.DataFrame(rows)


def lost_table(losses: pd.DataFrame) -> pd.DataFrame:
    """Per arm and bit: the step from which on the loss has fewer bits; -1: never."""
    rows = []
    for arm, part in losses.groupby("arm", sort=False):
        best_later = part["bits"][::-1].cummax()[::-1].to_numpy()
        for bit in BITS:
            below = best_later < bit
            step = int(part["step"].iloc[below.argmax()]) if below.any() else -1
            rows.append({"arm": arm, "bit": bit, "lost_at_step": step})
    return pd.DataFrame(rows)


def point_table(arms: dict[str, Traces]) -> pd.DataFrame:
    """Per arm and kept step: bits of weights and of outputs, min Dice of the labels of
    any two runs, and their mean Dice with the truth."""
    rows = []
    for arm, traces in arms.items():
        for k, step in enumerate(traces.steps):
            weights, same = mean_bits(traces.weights[:, k])
            outputs, _ = mean_bits(traces.outputs[:, k])
            rows.append(
                {
                    "arm": arm,
                    "step": int(step),
                    "weight_bits": weights,
                    "weights_identical": same,
                    "output_bits": outputs,
                    "min_dice": min_dice(traces.labels[:, k]),
                    "dice": float(traces.dice[:, k].mean()),
                }
            )
    return pd.DataFrame(rows)


def min_dice(labels: NDArray) -> float:
    """Mean over structures of the lowest Dice of any two of the maps (N, V)."""
    pairs = PairwiseDice(len(labels))
    pairs.add(labels.astype(np.int64))
    return float(pairs.minimum()["min_dice"].mean())


def largest_difference(weights: NDArray) -> float:
    """Largest difference of any weight between any two of the runs (N, W)."""
    pairs = combinations(range(len(weights)), 2)
    return max(float(np.abs(weights[a] - weights[b]).max()) for a, b in pairs)


def summary(
    title: str,
    outputs: str,
    arms: dict[str, Traces],
    losses: pd.DataFrame,
    lost: pd.DataFrame,
    points: pd.DataFrame,
) -> str:
    """The findings in Markdown; `outputs`: what the outputs are called."""
    count, steps = arms["control"].losses.shape
    exact = largest_difference(arms["control"].weights[:, -1]) == 0
    same = losses.query("arm == 'control'")["identical"].all()
    words = "bit-identical" if exact and same else "NOT identical: the study is invalid"
    lines = [
        f"# {title}",
        "",
        f"{count} trainings of {steps} steps per arm. Control trainings are {words}.",
        "",
        f"| arm | bits of the last loss | bits of the weights | bits of {outputs} "
        "| min Dice between runs | Dice with the truth "
        "| largest difference of a weight |",
        "|---" * 7 + "|",
    ]
    for arm, traces in arms.items():
        loss = losses.query("arm == @arm").iloc[-1]
        last = points.query("arm == @arm").iloc[-1]
        cells = [f"{loss['bits']:.0f}", f"{last['weight_bits']:.1f}"]
        cells += [f"{last['output_bits']:.1f}", f"{last['min_dice']:.4f}"]
        cells += [f"{last['dice']:.3f}"]
        cells += [f"{largest_difference(traces.weights[:, -1]):.2g}"]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    lines += ["", "Step from which on the loss has fewer bits than:", ""]
    shown = (20, 16, 12, 8, 4)
    lines += [f"| arm | {' | '.join(map(str, shown))} |", "|---" * 6 + "|"]
    for arm in arms:
        table = lost.query("arm == @arm").set_index("bit")["lost_at_step"]
        cells = [str(table[bit]) if table[bit] > 0 else "never" for bit in shown]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    lines += ["", "Bits: general estimator, 23 the most a float32 number shows."]
    return "\n".join(lines) + "\n"
