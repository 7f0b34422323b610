"""Label maps of several trainings: their majority vote and where they disagree."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from roundoff.figures import style


def votes(
    path: Path,
    images: NDArray,
    truth: NDArray,
    arms: Mapping[str, tuple[NDArray, NDArray]],
    colours: Sequence[tuple[int, int, int]],
    trainings: int,
    lines: list[str],
) -> None:
    """Draw image, reference labels and, per arm, majority vote and entropy.

    `images`, `truth` and both maps of an arm: (S, H, W), a row per slice. Labels are
    indices into `colours` (0-255). Entropy in nats, from 0 to ln `trainings`.
    """
    rows, columns, tile = len(images), 2 + 2 * len(arms), 1.55
    width, height = columns * (tile + 0.06) + 0.3, rows * (tile + 0.06) + 2.2
    shades = ListedColormap(np.array(colours) / 255)
    labels = {"cmap": shades, "vmin": -0.5, "vmax": len(colours) - 0.5}
    labels["interpolation"] = "nearest"
    most = {"cmap": "magma", "vmin": 0.0, "vmax": float(np.log(trainings))}
    panels = [("image", images, {"cmap": "gray"}), ("reference", truth, labels)]
    for name, (majority, entropy) in arms.items():
        panels.append((f"vote,\n{name}", majority, labels))
        panels.append((f"entropy,\n{name}", entropy, most))
    with style.picture(path, width, height) as figure:
        title = "Trained several times: majority vote and disagreement"
        top = style.heading(figure, title, lines)
        for column, (name, values, look) in enumerate(panels):
            for row in range(rows):
                left = 0.15 + column * (tile + 0.06)
                bottom = height - top - 0.55 - (row + 1) * (tile + 0.06)
                box = (left / width, bottom / height, tile / width, tile / height)
                axes = figure.add_axes(box)
                drawn = axes.imshow(values[row], **look)
                axes.set_axis_off()
                if row == 0:
                    axes.set_title(name, size=9)
        bar = figure.add_axes((0.35, 0.42 / height, 0.3, 0.12 / height))
        figure.colorbar(drawn, cax=bar, orientation="horizontal")
        bar.set_xlabel("entropy of the labels (nats)", size=8.5)
