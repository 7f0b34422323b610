"""Bits by two instruments: one against the other, and their difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

from roundoff.figures import style

WIDTH, ROW, TOP, BOTTOM = 8.6, 3.5, 0.35, 0.6  # inches


def agreement(
    path: str | Path,
    outputs: Mapping[str, pd.DataFrame],
    title: str,
    lines: Sequence[str],
    noise: float,
) -> None:
    """Draw each output: bits against bits, and the difference's distribution.

    `outputs`: title to voxels (columns native, verrou, difference, in bits). `noise`:
    standard deviation that sampling alone gives the difference; drawn as a curve.
    """
    height = 1.0 + len(outputs) * ROW
    with style.picture(path, WIDTH, height) as figure:
        style.heading(figure, title, list(lines))
        for index, (name, voxels) in enumerate(outputs.items()):
            base = (height - 1.0 - (index + 1) * ROW + BOTTOM) / height
            size = (ROW - TOP - BOTTOM) / height
            left = figure.add_axes((0.075, base, size * height / WIDTH, size))
            right = figure.add_axes((0.52, base, 0.45, size))
            _against(figure, left, voxels, name)
            _difference(right, voxels, noise)


def _against(figure, axes, voxels: pd.DataFrame, name: str) -> None:
    values = voxels[["native", "verrou"]].to_numpy()
    low, high = np.floor(np.percentile(values, 0.5)), np.ceil(values.max())
    edges = np.linspace(low, high, 97)
    counts, _, _ = np.histogram2d(*values.T, bins=(edges, edges))
    image = axes.pcolormesh(
        edges,
        edges,
        np.where(counts > 0, counts, np.nan).T,
        cmap="viridis",
        norm=LogNorm(1, max(counts.max(), 10)),
    )
    axes.plot([low, high], [low, high], color=style.RED, lw=1)
    axes.set_aspect("equal")
    ticks = np.arange(low, high + 1, 2 if high - low > 8 else 1)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlabel("bits, native")
    axes.set_ylabel("bits, Verrou")
    axes.set_title(name, loc="left")
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.set_label("voxels")


def _difference(axes, voxels: pd.DataFrame, noise: float) -> None:
    difference = voxels["difference"].to_numpy()
    reach = max(4 * noise, abs(difference.mean()) + 3 * noise)
    edges = np.linspace(-reach, reach, 81)
    axes.hist(difference, edges, density=True, color=style.SKY)
    x = np.linspace(-reach, reach, 400)
    curve = np.exp(-((x / noise) ** 2) / 2) / noise / np.sqrt(2 * np.pi)
    axes.plot(x, curve, color=style.INK, lw=1, label="sampling alone")
    mean = difference.mean()
    axes.axvline(mean, color=style.RED, lw=1.2, label=f"mean {mean:+.3f} bits")
    axes.set_xlabel("native minus Verrou, bits")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-reach, reach)
    axes.legend(loc="upper left")
