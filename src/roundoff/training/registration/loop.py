"""The training loop of the demo registration network."""

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from roundoff.models.synthmorph.network import VelocityUNet
from roundoff.training.registration.losses import dice_loss, gradient_penalty, move
from roundoff.training.registration.pairs import Pair, Pairs
from roundoff.training.segmentation.warps import exponential


@dataclass(frozen=True)
class Recipe:
    """Sizes and schedule of the training."""

    encoder: tuple[int, ...] = (8, 16, 16, 16)
    decoder: tuple[int, ...] = (16, 16, 16, 16)
    final: tuple[int, ...] = (16,)
    steps: int = 450
    learning_rate: float = 4e-3
    smoothness: float = 0.5  # weight of the gradient penalty
    int_steps: int = 5
    log_every: int = 20
    save_every: int = 50
    seed: int = 0


def train(
    pairs: Pairs,
    recipe: Recipe,
    *,
    save: Callable[[VelocityUNet], None] = lambda network: None,
    log: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> VelocityUNet:
    """Train the velocity network by Dice and smoothness, one pair a step.

    Adam with a one-cycle schedule. The objective is SynthMorph's: labels of the
    moving map, warped, against the labels of the fixed map, here at the half
    resolution of the velocity field. `log`: CSV of step, Dice before and after,
    seconds.
    """
    torch.manual_seed(recipe.seed)
    network = VelocityUNet(recipe.encoder, recipe.decoder, recipe.final).train()
    optimiser = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.06
    )
    rows, scores, start = [], [], time.monotonic()
    for step in range(1, recipe.steps + 1):
        scores.append(_step(network, optimiser, pairs.draw(step), recipe))
        schedule.step()
        if step % recipe.log_every == 0 or step == recipe.steps:
            before, after = torch.tensor(scores).mean(0).tolist()
            seconds, scores = time.monotonic() - start, []
            rows.append((step, before, after, seconds))
            report(
                f"step {step} of {recipe.steps}: Dice {before:.3f} before, "
                f"{after:.3f} after, {seconds:.0f} s"
            )
            if log:
                _write_log(log, rows)
        if step % recipe.save_every == 0:
            save(network)
    return network.eval()


def _step(network, optimiser, pair: Pair, recipe: Recipe) -> tuple[float, float]:
    velocity = network(torch.stack([pair.moving, pair.fixed])[None])[0]
    field = exponential(velocity, recipe.int_steps)
    overlap = dice_loss(move(pair.moving_shares, field), pair.fixed_shares)
    loss = overlap + recipe.smoothness * gradient_penalty(field)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    before = dice_loss(pair.moving_shares, pair.fixed_shares)
    return 1 - before.item(), 1 - overlap.item()


def _write_log(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "dice_before", "dice_after", "seconds"))
        writer.writerows((s, f"{b:.4f}", f"{a:.4f}", f"{t:.1f}") for s, b, a, t in rows)
