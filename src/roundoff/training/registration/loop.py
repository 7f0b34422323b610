"""The training loop of the demo registration network."""

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from roundoff.models.synthmorph.network import VelocityUNet
from roundoff.training.registration.losses import (
    dice_loss,
    distance,
    gradient_penalty,
    move,
)
from roundoff.training.registration.pairs import Pair, Pairs
from roundoff.training.segmentation.warps import exponential

DARK = 5.0  # about one over the root mean square of an image in 0-1


@dataclass(frozen=True)
class Recipe:
    """Sizes and schedule of the training."""

    encoder: tuple[int, ...] = (8, 16, 16, 16)
    decoder: tuple[int, ...] = (16, 16, 16, 16)
    final: tuple[int, ...] = (16,)
    steps: int = 2600
    coarse_steps: int = (
        2400  # the first of them, on every second voxel: 8 times cheaper
    )
    learning_rate: float = 7e-4
    smoothness: float = 0.1  # weight of the gradient penalty
    int_steps: int = 5
    log_every: int = 50
    save_every: int = 50
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step over the largest: warm-up, plateau, descent."""
        return min(1.0, (step + 1) / 50, max(0.05, (self.steps - step) / 150))


def train(
    pairs: Pairs,
    recipe: Recipe,
    *,
    save: Callable[[VelocityUNet], None] = lambda network: None,
    log: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> VelocityUNet:
    """Train the velocity network by Dice and smoothness, one pair a step.

    The objective is SynthMorph's (moving labels, warped, against fixed labels, here
    at half the resolution of the images), helped by what a generator knows: where
    each voxel's partner is. First, on coarse maps, by the distance to it alone.
    Adam, constant but for a warm-up and the last steps. `log`: CSV of step, Dice
    before and after, distance after over before, seconds.
    """
    torch.manual_seed(recipe.seed)
    network = VelocityUNet(recipe.encoder, recipe.decoder, recipe.final).train()
    initialise(network)
    optimiser = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.rate)
    rows, scores, start = [], [], time.monotonic()
    for step in range(1, recipe.steps + 1):
        coarse = step <= recipe.coarse_steps
        pair = pairs.draw(step, 2 if coarse else 1)
        dice_weight = 0.0 if coarse else 1.0
        scores.append(_step(network, optimiser, pair, recipe, dice_weight))
        schedule.step()
        if step % recipe.log_every == 0 or step == recipe.steps:
            before, after, ratio = torch.tensor(scores).mean(0).tolist()
            seconds, scores = time.monotonic() - start, []
            rows.append((step, before, after, ratio, seconds))
            report(
                f"step {step} of {recipe.steps}: Dice {before:.3f} before, "
                f"{after:.3f} after, distance x {ratio:.3f}, {seconds:.0f} s"
            )
            if log:
                _write_log(log, rows)
        if step % recipe.save_every == 0:
            save(network)
    return network.eval()


def initialise(network: VelocityUNet) -> None:
    """He initialisation: with PyTorch's own the signal fades over nine layers.

    The first layer makes up for images that are mostly dark. The flow starts near
    zero, as in VoxelMorph, but not so near that nothing happens.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, network.slope)
            nn.init.zeros_(module.bias)
    nn.init.normal_(network.flow.weight, std=1e-3)
    network.enc0.weight.data.mul_(DARK)


def _step(network, optimiser, pair: Pair, recipe: Recipe, dice_weight: float):
    velocity = network(torch.stack([pair.moving, pair.fixed])[None])[0]
    field = exponential(velocity, recipe.int_steps)
    overlap = dice_loss(move(pair.moving_shares, field), pair.fixed_shares)
    weight = F.avg_pool3d(torch.from_numpy(pair.fixed_labels > 0).float()[None], 2)[0]
    far = distance(move(pair.moving_points, field), pair.fixed_points, weight)
    ratio = far / distance(pair.moving_points, pair.fixed_points, weight)
    smooth = recipe.smoothness * gradient_penalty(field)
    optimiser.zero_grad()
    (ratio + dice_weight * overlap + smooth).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimiser.step()
    before = dice_loss(pair.moving_shares, pair.fixed_shares)
    return 1 - before.item(), 1 - overlap.item(), ratio.item() ** 0.5


def _write_log(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("step", "dice_before", "dice_after", "distance_ratio", "seconds")
        )
        writer.writerows(
            (s, f"{b:.4f}", f"{a:.4f}", f"{r:.4f}", f"{t:.1f}")
            for s, b, a, r, t in rows
        )
