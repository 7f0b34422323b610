"""The training loop of one view's network."""

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from roundoff.models.checkpoints import load_tensors
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.training.segmentation.batches import Batches
from roundoff.training.segmentation.classes import sagittal_expansion
from roundoff.training.segmentation.losses import class_weights, combined_loss


@dataclass(frozen=True)
class Recipe:
    """Sizes and schedule of the training of one network."""

    filters: int = 14
    filters_interpol: int = 8
    steps: int = 3000
    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    bfloat16: bool = True  # autocast of the training only; weights stay float32
    log_every: int = 50
    seed: int = 0


def count_classes(view: str) -> int:
    """Classes of the network of a view: the sagittal one knows no sides."""
    expansion = sagittal_expansion()
    return max(expansion) + 1 if view == "sagittal" else len(expansion)


def build_network(view: str, recipe: Recipe) -> FastSurferVINN:
    """The untrained demo network of a view."""
    return FastSurferVINN(
        count_classes(view),
        num_filters=recipe.filters,
        num_filters_interpol=recipe.filters_interpol,
        base_resolution=2.0,
    )


def copy_matching(network: FastSurferVINN, tensors: Mapping[str, torch.Tensor]) -> int:
    """Copy the tensors that fit by key and shape; return how many did."""
    own = network.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def train(
    batches: Batches,
    recipe: Recipe,
    log: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
    start_from: Path | None = None,
) -> FastSurferVINN:
    """Train the network of the view of `batches`.

    `start_from`: weights (of any view) to start with where the shapes agree.

    AdamW with a one-cycle schedule. `log`: CSV of step, loss, learning rate, seconds.
    """
    torch.manual_seed(recipe.seed)
    network = build_network(batches.view.name, recipe)
    if start_from:
        copy_matching(network, load_tensors(start_from))
    network = network.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.2
    )
    weights = _weights(batches)
    rows, losses, start = [], [], time.monotonic()
    for step in range(1, recipe.steps + 1):
        losses.append(_step(network, optimiser, *batches.draw(step), weights, recipe))
        schedule.step()
        if step % recipe.log_every == 0 or step == recipe.steps:
            seconds = time.monotonic() - start
            mean, losses = sum(losses) / len(losses), []
            rows.append((step, mean, schedule.get_last_lr()[0], seconds))
            report(f"step {step} of {recipe.steps}: loss {mean:.4f}, {seconds:.0f} s")
            if log:
                _write_log(log, rows)
    return network.eval().to(memory_format=torch.contiguous_format)


def _weights(batches: Batches) -> torch.Tensor:
    labels = torch.cat([batches.draw(-step - 1 & 0x7FFFFFFF)[1] for step in range(40)])
    return class_weights(labels, count_classes(batches.view.name))


def _step(network, optimiser, images, labels, weights, recipe: Recipe) -> float:
    images = images.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        logits = network(images)
    loss = combined_loss(logits, labels, weights)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return loss.item()


def _write_log(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "loss", "learning_rate", "seconds"))
        writer.writerows(
            (s, f"{loss:.5f}", f"{lr:.3e}", f"{t:.1f}") for s, loss, lr, t in rows
        )
