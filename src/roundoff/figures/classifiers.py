"""Pictures of the study of classifiers: thresholds, tolerances, precision, layers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from roundoff.classifiers.jobs import COMPARED
from roundoff.classifiers.rules import RULES
from roundoff.figures import style

PRECISION_COLORS = {
    "float32": style.BLUE,
    "bfloat16": style.ORANGE,
    "float16": style.RED,
}
LAYER_COLORS = [style.BLUE, style.ORANGE, style.GREEN, style.PINK]


def _frame(figure, axes, top: float, height: float, bottom: float = 0.16) -> None:
    figure.subplots_adjust(
        left=0.09, right=0.97, bottom=bottom, top=1 - (top + 0.12) / height
    )
    axes.grid(axis="y", color="#eeeeee")


def _thresholds(axes, names: Sequence[str]) -> np.ndarray:
    x = np.arange(len(names))
    words = ["unmodified" if n == "default" else f"T = {n}" for n in names]
    axes.set_xticks(x, words)
    return x


def thresholds(
    path: str | Path, table: pd.DataFrame, known: pd.DataFrame, lines: Sequence[str]
) -> None:
    """Accuracy by threshold, published beside; `table`: one rule in float32."""
    with style.picture(path, 8, 4) as figure:
        top = style.heading(figure, "Accuracy with aggressive NaN pooling", list(lines))
        axes = figure.subplots()
        x = _thresholds(axes, list(table["threshold"]))
        axes.errorbar(
            x, table["accuracy"], table["sd"], color=style.BLUE, marker="o", capsize=3,
            label="measured here (sd over 5 folds)",
        )  # fmt: skip
        theirs = known.set_index("threshold").reindex(table["threshold"])
        axes.errorbar(
            x, theirs["accuracy"], theirs["sd"], color=style.BLACK, marker="D",
            mfc="none", ls=":", capsize=3, label="published",
        )  # fmt: skip
        axes.set_ylim(0, 103)
        axes.set_ylabel("accuracy (%)")
        axes.legend(frameon=False, loc="lower left")
        _frame(figure, axes, top, 4)


def tolerances(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Accuracy by threshold for every tie rule, float32."""
    with style.picture(path, 8, 4.2) as figure:
        top = style.heading(figure, "Accuracy by the tolerance of a tie", list(lines))
        axes = figure.subplots()
        shades = [
            style.BLUE,
            "#56b4e9",
            style.ORANGE,
            style.RED,
            style.BLACK,
            style.GREEN,
            "#888888",
            "#cc79a7",
        ]
        rules = [r for r in RULES if r in set(table["rule"])]
        for rule, color in zip(rules, shades[: len(rules)], strict=True):
            part = table[table["rule"] == rule]
            x = _thresholds(axes, list(part["threshold"]))
            axes.plot(
                x, part["accuracy"], color=color, marker="o", label=RULES[rule].title
            )
        axes.set_ylim(0, 103)
        axes.set_ylabel("accuracy (%)")
        axes.legend(frameon=False, loc="lower left", fontsize=8)
        _frame(figure, axes, top, 4.2)


def precision(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Accuracy by threshold: precisions in colour, tie rules by dash."""
    with style.picture(path, 8, 4.4) as figure:
        top = style.heading(figure, "Reduced precision: which tie rule?", list(lines))
        axes = figure.subplots()
        for name, color in PRECISION_COLORS.items():
            for rule, dash in zip(COMPARED, ("--", "-", ":", "-."), strict=True):
                part = table[(table["precision"] == name) & (table["rule"] == rule)]
                if part.empty:
                    continue
                x = _thresholds(axes, list(part["threshold"]))
                axes.plot(
                    x, part["accuracy"], color=color, ls=dash, marker="o", ms=4,
                    label=f"{name}, {RULES[rule].title}",
                )  # fmt: skip
        axes.set_ylim(0, 103)
        axes.set_ylabel("accuracy (%)")
        axes.legend(
            frameon=False, loc="lower left", fontsize=6, ncols=2, handlelength=4
        )
        _frame(figure, axes, top, 4.4)


def layers(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Skipped share of every convolution by threshold; `table`: one rule, float32."""
    with style.picture(path, 8, 4) as figure:
        top = style.heading(figure, "Skipped windows by layer", list(lines))
        axes = figure.subplots()
        names = list(dict.fromkeys(table["threshold"]))
        found = list(dict.fromkeys(table["layer"]))
        x = _thresholds(axes, names)
        width = 0.8 / len(found)
        for place, (layer, color) in enumerate(zip(found, LAYER_COLORS, strict=False)):
            part = table[table["layer"] == layer].set_index("threshold")["share"]
            shift = (place - (len(found) - 1) / 2) * width
            values = 100 * part.reindex(names)
            axes.bar(x + shift, values, 0.9 * width, color=color, label=layer)
        axes.set_ylim(0, 100)
        axes.set_ylabel("windows skipped (%)")
        axes.legend(frameon=False, loc="upper left")
        _frame(figure, axes, top, 4)
