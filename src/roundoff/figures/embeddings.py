"""Pictures of significant digits after every block of a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from roundoff.figures import style

DIGITS = (0.0, 7.2)
COLUMNS, TILE, GAP, TOP = 7, 1.6, 0.08, 0.3  # inches


def montage(
    path: str | Path,
    image: NDArray,
    maps: Mapping[str, NDArray],
    title: str,
    lines: Sequence[str],
) -> None:
    """Draw the slice and, block after block, the digits its output keeps.

    `image` (H, W); `maps`: block name to (h, w) decimal digits, NaN drawn white. All
    maps are stretched to one size and share one scale, 0 to 7.2 digits (float32).
    """
    tiles = [("slice", image), *maps.items()]
    rows = -(-len(tiles) // COLUMNS)
    width = COLUMNS * TILE + (COLUMNS - 1) * GAP + 0.3
    height = 1.15 + rows * (TILE + TOP) + 0.85
    colormap, scale = style.bits_colormap(), Normalize(*DIGITS)
    with style.picture(path, width, height) as figure:
        style.heading(figure, title, list(lines))
        for index, (name, values) in enumerate(tiles):
            row, column = divmod(index, COLUMNS)
            left = 0.15 + column * (TILE + GAP)
            bottom = height - 1.15 - (row + 1) * (TILE + TOP) + 0.04
            box = (left / width, bottom / height, TILE / width, TILE / height)
            axes = figure.add_axes(box)
            if name == "slice":
                axes.imshow(values, cmap="gray", interpolation="nearest")
            else:
                axes.imshow(values, cmap=colormap, norm=scale, interpolation="nearest")
            axes.set_title(f"{name}  {values.shape[0]} by {values.shape[1]}", size=8.5)
            axes.set_axis_off()
        box = (0.15 / width + 0.2, 0.52 / height, 0.6, 0.13 / height)
        bar = figure.colorbar(
            ScalarMappable(scale, colormap),
            cax=figure.add_axes(box),
            orientation="horizontal",
        )
        bar.set_label("significant decimal digits (white: undefined)")


def zone_profile(
    path: str | Path, table: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Draw digits along the network, one line per zone: median and 5 to 95 %.

    `table`: block, zone, p5, p50, p95 (decimal digits), blocks in the order they ran.
    """
    blocks = list(dict.fromkeys(table["block"]))
    with style.picture(path, 8.6, 4.6) as figure:
        top = style.heading(figure, title, list(lines))
        axes = figure.add_axes((0.085, 0.2, 0.89, 0.8 - (top + 0.25) / 4.6))
        for (zone, part), color in zip(
            table.groupby("zone", sort=False), style.SERIES, strict=False
        ):
            part = part.set_index("block").reindex(blocks)
            if part["p50"].isna().all():
                continue
            x = np.arange(len(blocks))
            axes.fill_between(x, part["p5"], part["p95"], color=color, alpha=0.15, lw=0)
            axes.plot(x, part["p50"], color=color, marker="o", ms=4, label=zone)
        axes.set_xticks(range(len(blocks)), blocks, rotation=35, ha="right")
        axes.set_ylim(0, DIGITS[1])
        axes.set_ylabel("significant decimal digits")
        axes.grid(axis="y")
        axes.legend(loc="lower left", ncols=3)
