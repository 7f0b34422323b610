"""Pictures of a training: losses, pairs before and after, its stability."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roundoff.figures import style

COLORS = {"control": style.BLUE, "rounding": style.RED, "seeds": style.GREEN}
NAMES = {
    "control": "control (IEEE)",
    "rounding": "random rounding",
    "seeds": "other seeds",
}
PUBLISHED = {  # arXiv 2509.05238, mean min Dice over 95 regions (docs/training.md)
    "FastSurfer, trained with\nrandom rounding, epoch 9": 0.723,
    "FastSurfer, other seeds,\nepoch 9": 0.812,
    "FastSurfer, other seeds,\nepoch 70": 0.842,
    "FreeSurfer, fuzzy": 0.914,
}


def loss_curve(path: Path, rows: Sequence[dict], title: str, lines: list[str]) -> None:
    """Draw loss, and Dice before and after, along a training (rows of its log)."""
    table = pd.DataFrame(rows)
    with style.picture(path, 7.2, 3.6) as figure:
        top = style.heading(figure, title, lines)
        height = 0.8 - (top + 0.1) / 3.6
        left = figure.add_axes((0.085, 0.15, 0.39, height))
        left.plot(table["step"], table["loss"], color=style.BLUE)
        left.set_ylabel("loss")
        right = figure.add_axes((0.58, 0.15, 0.39, height))
        for name, words, color in (
            ("dice_before", "before", style.MUTED),
            ("dice", "after registration", style.RED),
        ):
            if name in table:
                right.plot(table["step"], table[name], color=color, label=words)
        right.set_ylabel("Dice of the training pairs")
        right.legend(loc="best")
        for axes in (left, right):
            axes.set_xlabel("step")
            axes.grid(axis="y")


def pairs(path: Path, registered: Sequence, title: str, lines: list[str]) -> None:
    """Draw moving, moved and fixed image with outlines of the fixed structures.

    `registered`: items with `moving`, `moved`, `fixed` (each `image`, `labels`) and
    `overlap` (`before`, `after`), one row each, a coronal slice through the middle.
    """
    rows, tile = len(registered), 1.75
    width, height = 3 * tile + 2.0, rows * (tile + 0.08) + 1.3
    with style.picture(path, width, height) as figure:
        style.heading(figure, title, lines)
        for index, item in enumerate(registered):
            bottom = height - 1.15 - (index + 1) * (tile + 0.08)
            for column, name in enumerate(("moving", "moved", "fixed")):
                left = 0.15 + column * (tile + 0.08)
                box = (left / width, bottom / height, tile / width, tile / height)
                axes = figure.add_axes(box)
                _outlined(axes, getattr(item, name), item.fixed)
                if index == 0:
                    axes.set_title(name, size=9)
            overlap = item.overlap
            figure.text(
                (3 * (tile + 0.08) + 0.25) / width,
                (bottom + tile / 2) / height,
                f"{overlap.moving}\nDice {overlap.before:.3f}\n→ {overlap.after:.3f}\n"
                f"folded {overlap.folded_percent:.2f} %",
                size=8.5,
                va="center",
            )


def _outlined(axes, head, fixed) -> None:
    middle = head.image.shape[2] // 2
    axes.imshow(head.image[:, :, middle].T, cmap="gray", vmin=0, vmax=1)
    labels = fixed.labels[:, :, middle].T.astype(int)
    for label in np.unique(labels)[1:]:
        axes.contour(labels == label, [0.5], colors=[style.ORANGE], linewidths=0.6)
    axes.set_axis_off()


def loss_stability(path: Path, losses: pd.DataFrame, lines: list[str]) -> None:
    """Draw the loss and its significant bits, step by step, for every arm."""
    with style.picture(path, 8.2, 3.7) as figure:
        top = style.heading(figure, "Bits of the loss along a training", lines)
        height = 0.8 - (top + 0.1) / 3.7
        left = figure.add_axes((0.075, 0.15, 0.39, height))
        right = figure.add_axes((0.565, 0.15, 0.41, height))
        for arm, part in losses.groupby("arm", sort=False):
            color, name = COLORS[arm], NAMES[arm]
            left.fill_between(
                part["step"], part["min"], part["max"], color=color, alpha=0.25, lw=0
            )
            left.plot(part["step"], part["mean"], color=color, lw=1)
            right.plot(part["step"], part["bits"], color=color, label=name)
        left.set_ylabel("loss (mean, range)")
        right.set_ylabel("significant bits of the loss")
        right.set_ylim(0, 24)
        right.legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=3, fontsize=8)
        for axes in (left, right):
            axes.set_xlabel("step")
            axes.grid(axis="y")


def point_stability(
    path: Path, points: pd.DataFrame, outputs: str, lines: list[str]
) -> None:
    """Draw bits of weights and of outputs, min Dice and Dice, along a training.

    `outputs`: what the outputs are called.
    """
    panels = (
        ("weight_bits", "bits of the weights", (0, 24)),
        ("output_bits", f"bits of {outputs}", (0, 24)),
        ("min_dice", "min Dice between trainings", None),
        ("dice", "Dice with the truth", None),
    )
    with style.picture(path, 12.4, 3.9) as figure:
        title = "What the resulting networks have in common"
        top = style.heading(figure, title, lines)
        for index, (column, words, limits) in enumerate(panels):
            box = (0.05 + 0.245 * index, 0.22, 0.19, 0.74 - (top + 0.1) / 3.9)
            axes = figure.add_axes(box)
            for arm, part in points.groupby("arm", sort=False):
                look = {"color": COLORS[arm], "marker": "o", "ms": 3}
                axes.plot(part["step"], part[column], label=NAMES[arm], **look)
            axes.set_ylabel(words)
            axes.set_xlabel("step")
            axes.grid(axis="y")
            if limits:
                axes.set_ylim(*limits)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=3)


def beside_published(path: Path, points: pd.DataFrame, lines: list[str]) -> None:
    """Draw the final min Dice of every arm beside the published variability."""
    last = points.groupby("arm", sort=False).last()["min_dice"]
    names = [f"here: {NAMES[arm]}" for arm in last.index] + list(PUBLISHED)
    values: NDArray = np.array([*last, *PUBLISHED.values()])
    colors = [COLORS[arm] for arm in last.index] + [style.MUTED] * len(PUBLISHED)
    with style.picture(path, 7.6, 4.2) as figure:
        top = style.heading(figure, "Variability of training: min Dice", lines)
        axes = figure.add_axes((0.3, 0.12, 0.64, 0.85 - (top + 0.05) / 4.2))
        places = np.arange(len(names))[::-1]
        axes.barh(places, values, color=colors, height=0.6)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.008, place, f"{value:.4g}", va="center", size=8.5)
        axes.set_yticks(places, names)
        axes.set_xlim(0, 1.1)
        axes.set_xlabel("min Dice over the trainings, mean over structures")
