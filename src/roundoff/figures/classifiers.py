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


FILL_COLORS = {"mean": style.BLUE, "zero": style.GREEN}
RULE_COLORS = [
    style.BLUE,
    "#56b4e9",
    style.ORANGE,
    style.RED,
    style.BLACK,
    style.GREEN,
    "#888888",
    style.PINK,
]
TYPES_DASHES = {"close": "--", "constant": "-"}


def _place(figure, box, top: float, height: float):
    """Axes from `box`: left and width as shares; below 0.95 inch for the legend."""
    left, width = box
    bottom = 0.95 / height
    axes = figure.add_axes((left, bottom, width, 1 - (top + 0.3) / height - bottom))
    axes.grid(axis="y", color="#eeeeee")
    return axes


def _thresholds(axes, names: Sequence[str]) -> np.ndarray:
    x = np.arange(len(names))
    words = ["unmodified" if n == "default" else f"T = {n}" for n in names]
    axes.set_xticks(x, words)
    return x


def _percent(axes, words: str = "accuracy (%)") -> None:
    axes.set_ylim(0, 103)
    axes.set_ylabel(words)


def thresholds(
    path: str | Path, table: pd.DataFrame, known: pd.DataFrame, lines: Sequence[str]
) -> None:
    """Accuracy by threshold for each fill, published beside.

    `table`: rules of float32 that differ in the fill alone, rows in order of T.
    """
    with style.picture(path, 8, 4.4) as figure:
        top = style.heading(figure, "Accuracy with aggressive NaN pooling", list(lines))
        axes = _place(figure, (0.09, 0.88), top, 4.4)
        for rule, part in table.groupby("rule", sort=False):
            fill = RULES[rule].fill
            x = _thresholds(axes, list(part["threshold"]))
            axes.errorbar(
                x, part["accuracy"], part["sd"], color=FILL_COLORS[fill], marker="o",
                capsize=3, label=f"here, NaN filled by {fill} (sd over 5 folds)",
            )  # fmt: skip
        theirs = known.set_index("threshold").reindex(part["threshold"])
        axes.errorbar(
            x, theirs["accuracy"], theirs["sd"], color=style.BLACK, marker="D",
            mfc="none", ls=":", capsize=3, label="published, float32",
        )  # fmt: skip
        axes.plot(x, theirs["reduced"], "D", color=style.RED, mfc="none",
                  label="published, reduced precision")  # fmt: skip
        _percent(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=2)


def tolerances(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Accuracy by threshold for every tie rule, float32."""
    with style.picture(path, 8, 4.6) as figure:
        top = style.heading(figure, "Accuracy by the tolerance of a tie", list(lines))
        axes = _place(figure, (0.09, 0.88), top, 4.6)
        rules = [r for r in RULES if r in set(table["rule"])]
        for rule, color in zip(rules, RULE_COLORS, strict=False):
            part = table[table["rule"] == rule]
            x = _thresholds(axes, list(part["threshold"]))
            look = {"color": color, "marker": "o", "ms": 4}
            axes.plot(x, part["accuracy"], label=RULES[rule].title, **look)
        _percent(axes)
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="lower center", ncols=3, fontsize=8)


def precision(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Accuracy by threshold, a panel per fill: types in colour, tie rules by dash."""
    with style.picture(path, 10, 4.6) as figure:
        top = style.heading(figure, "Reduced precision: which tie rule?", list(lines))
        for panel, fill in enumerate(FILL_COLORS):
            axes = _place(figure, (0.07 + 0.48 * panel, 0.43), top, 4.6)
            for name, color in PRECISION_COLORS.items():
                for rule in COMPARED:
                    part = table[(table["precision"] == name) & (table["rule"] == rule)]
                    if RULES[rule].fill != fill or part.empty:
                        continue
                    words = RULES[rule].criterion
                    words = "all of a window" if words == "constant" else "two values"
                    axes.plot(
                        _thresholds(axes, list(part["threshold"])), part["accuracy"],
                        color=color, ls=TYPES_DASHES[RULES[rule].criterion], marker="o",
                        ms=4, label=f"{name}, tie of {words}",
                    )  # fmt: skip
            _percent(axes, "accuracy (%)" if panel == 0 else "")
            axes.set_title(f"NaN filled by {fill}", loc="left", size=9)
            axes.tick_params("x", labelsize=8)
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="lower center", ncols=3, fontsize=8)


def layers(
    path: str | Path, table: pd.DataFrame, known: pd.DataFrame, lines: Sequence[str]
) -> None:
    """Skipped share of every convolution by threshold; `table`: one rule, float32."""
    with style.picture(path, 8, 4.2) as figure:
        top = style.heading(figure, "Skipped windows by layer", list(lines))
        axes = _place(figure, (0.09, 0.88), top, 4.2)
        names = list(dict.fromkeys(table["threshold"]))
        found = list(dict.fromkeys(table["layer"]))
        theirs = known.set_index("threshold").reindex(names)
        x = _thresholds(axes, names)
        width = 0.8 / len(found)
        for place, (layer, color) in enumerate(zip(found, LAYER_COLORS, strict=False)):
            part = table[table["layer"] == layer].set_index("threshold")["share"]
            at = x + (place - (len(found) - 1) / 2) * width
            axes.bar(at, 100 * part.reindex(names), 0.9 * width, color=color,
                     label=layer)  # fmt: skip
            if layer in theirs:
                axes.plot(at, 100 * theirs[layer], "D", color=style.BLACK, ms=4,
                          mfc="none", label="_published")  # fmt: skip
        axes.plot([], [], "D", color=style.BLACK, ms=4, mfc="none", label="published")
        axes.set_ylim(0, 100)
        axes.set_ylabel("windows skipped (%)")
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="lower center", ncols=5)
