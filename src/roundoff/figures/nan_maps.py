"""Where work is skipped, over the anatomy."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from roundoff.figures import style

COLORS = "viridis"
TILE, GAP, LEFT = 1.32, 0.06, 0.75  # inches
OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


def skipped_work(
    path: str | Path,
    planes: Mapping[str, NDArray],
    maps: Mapping[str, Mapping[str, NDArray]],
    sides: Mapping[str, tuple[str, str]],
    title: str,
    lines: Sequence[str],
) -> None:
    """One row per view: the slice, then the share of work skipped per setting.

    `planes`: view to the slice (H, W), upright. `maps`: view to name of a setting to
    float32 (H, W), 0 to 1; where it is 0 the slice shows. `sides`: view to the letters
    of the left and right side.
    """
    views, names = list(planes), list(next(iter(maps.values())))
    width = LEFT + (1 + len(names)) * (TILE + GAP) + 0.1
    height = 1.35 + len(views) * (TILE + GAP) + 0.75
    scale = Normalize(0, 1)
    with style.picture(path, width, height) as figure:
        style.heading(figure, title, list(lines))
        for row, view in enumerate(views):
            bottom = height - 1.35 - (row + 1) * (TILE + GAP)
            for column, name in enumerate(["slice", *names]):
                left = LEFT + column * (TILE + GAP)
                box = (left / width, bottom / height, TILE / width, TILE / height)
                axes = figure.add_axes(box)
                axes.imshow(planes[view], cmap="gray", interpolation="nearest")
                if column:
                    shade = np.ma.masked_equal(maps[view][name], 0)
                    axes.imshow(shade, cmap=COLORS, norm=scale)
                    axes.contour(
                        planes[view] > 0, [0.5], colors="white", linewidths=0.5
                    )
                else:
                    _letters(axes, sides[view])
                if row == 0:
                    axes.set_title(name, size=8.5)
                axes.set_axis_off()
            middle = (bottom + TILE / 2) / height
            figure.text(0.1 / width, middle, view, va="center", size=9)
        bar = figure.colorbar(
            ScalarMappable(scale, COLORS),
            cax=figure.add_axes((0.3, 0.46 / height, 0.4, 0.12 / height)),
            orientation="horizontal",
        )
        bar.set_label("share of the multiply-accumulates skipped at this pixel")


def _letters(axes, sides: tuple[str, str]) -> None:
    style_of = {"color": "white", "size": 8, "va": "center"}
    place = axes.transAxes
    axes.text(0.03, 0.5, sides[0], transform=place, ha="left", **style_of)
    axes.text(0.97, 0.5, sides[1], transform=place, ha="right", **style_of)


def upright(
    plane: NDArray, axes: tuple[int, int], codes: str
) -> tuple[NDArray, tuple[str, str]]:
    """A slice with the top of the head (or the front) up, and its side letters.

    `axes`: volume axes of rows and columns; `codes`: the volume's orientation, such as
    "LIA" (nibabel's axis codes: where indices grow to). The subject's left is drawn on
    the left, the front on the right.
    """
    row, column = codes[axes[0]], codes[axes[1]]
    if column in "SI" or (row in "LR" and column in "AP"):
        plane, (row, column) = plane.T, (column, row)
    if row in "SA":  # rows are drawn downwards
        plane = plane[::-1]
    if column in "LP":
        plane, column = plane[:, ::-1], OPPOSITE[column]
    return np.ascontiguousarray(plane), (OPPOSITE[column], column)
