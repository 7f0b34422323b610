"""The training loop of the demo denoiser."""

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from roundoff.models.fondue.network import FondueLT
from roundoff.training.denoising.batches import Batches


@dataclass(frozen=True)
class Recipe:
    """Size and schedule of the training."""

    filters: int = 12
    steps: int = 1200
    learning_rate: float = 4e-3
    weight_decay: float = 1e-5
    log_every: int = 50
    save_every: int = 300
    seed: int = 0


def train(
    batches: Batches,
    recipe: Recipe,
    *,
    save: Callable[[FondueLT], None] = lambda network: None,
    log: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> FondueLT:
    """Train FONDUE_LT with few filters by the squared error of its output.

    AdamW with a one-cycle schedule (the published recipe adds a perceptual loss).
    `save` gets the network every `save_every` steps; `log`: CSV of step, mean PSNR
    of the training patches (dB), learning rate, seconds.
    """
    torch.manual_seed(recipe.seed)
    network = FondueLT(recipe.filters, batches.channels).train()
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.15
    )
    rows, losses, start = [], [], time.monotonic()
    for step in range(1, recipe.steps + 1):
        losses.append(_step(network, optimiser, *batches.draw(step)))
        schedule.step()
        if step % recipe.log_every == 0 or step == recipe.steps:
            psnr = -10 * float(torch.tensor(losses).mean().log10())
            seconds, losses = time.monotonic() - start, []
            rows.append((step, psnr, schedule.get_last_lr()[0], seconds))
            report(f"step {step} of {recipe.steps}: {psnr:.2f} dB, {seconds:.0f} s")
            if log:
                _write_log(log, rows)
        if step % recipe.save_every == 0:
            save(network)
    return network.eval().to(memory_format=torch.contiguous_format)


def _step(network: FondueLT, optimiser, noisy, clean) -> float:
    found = network(noisy.to(memory_format=torch.channels_last))
    loss = F.mse_loss(found, clean)
    optimiser.zero_grad()
    (loss * 1000).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return loss.item()


def _write_log(path: Path, rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "psnr_db", "learning_rate", "seconds"))
        writer.writerows(
            (s, f"{p:.3f}", f"{lr:.3e}", f"{t:.1f}") for s, p, lr, t in rows
        )
