"""Pictures of the pooler study: accuracy, curves, stability, ties, FastSurfer."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from roundoff.figures import style

NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
}
COLORS = {
    "max": style.BLACK,
    "average": "#888888",
    "mixing": style.BLUE,
    "gated": "#56b4e9",
    "stochastic": style.ORANGE,
    "stochastic_softmax": "#e69f00",
    "s3": "#009e73",
    "tdgs": style.RED,
}
QUANTITIES = {
    "pooler_output": "pooler's output",
    "pooler_gradient": "pooler's gradient",
    "logits": "logits",
    "weight_gradient": "first weights' gradient",
}


def label(pooler: str) -> str:
    """A pooler's name in words."""
    return pooler.replace("_", " ").replace("tdgs", "TDGS").replace("s3", "S3")


def _datasets(table: pd.DataFrame) -> list[str]:
    """Data sets of a table, the known ones first and in one order everywhere."""
    found = list(dict.fromkeys(table["dataset"]))
    return sorted(found, key=lambda n: list(NAMES).index(n) if n in NAMES else 99)


@contextmanager
def _panels(path, title, lines, names, height, width=10.5, sharey=False, bottom=0.16):
    """A picture with one panel per data set: yields the figure and the panels."""
    with style.picture(path, width, height) as figure:
        axes = _named_axes(figure, title, lines, names, height, sharey, bottom)
        yield figure, axes


def _named_axes(figure, title, lines, names, height, sharey, bottom):
    top = style.heading(figure, title, list(lines))
    axes = figure.subplots(1, len(names), squeeze=False, sharey=sharey)[0]
    figure.subplots_adjust(
        left=0.13 if sharey else 0.075,
        right=0.985,
        bottom=bottom,
        top=1 - (top + 0.3) / height,
        wspace=0.1 if sharey else 0.22,
    )
    for panel, name in zip(axes, names, strict=True):
        panel.set_title(NAMES.get(name, name), fontsize=10)
    return axes


def accuracy(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Test accuracy per pooler: every training's range, published beside."""
    names = _datasets(table)
    title = "Test accuracy with each pooler"
    with _panels(path, title, lines, names, 4.6, sharey=True, bottom=0.23) as (
        figure,
        axes,
    ):
        for panel, name in zip(axes, names, strict=True):
            part = table[table["dataset"] == name].reset_index(drop=True)
            y = np.arange(len(part))[::-1]
            panel.hlines(y, part["lowest"], part["highest"], color="#bbbbbb", lw=3)
            colors = [COLORS[p] for p in part["pooler"]]
            panel.scatter(
                part["mean"], y, c=colors, zorder=3, s=30, label="measured here"
            )
            known = part["published"].notna()
            panel.scatter(
                part["published"][known], y[known], marker="D", facecolors="none",
                edgecolors=style.BLACK, s=28, label="published (25 epochs, all images)",
            )  # fmt: skip
            panel.set_yticks(y, [label(p) for p in part["pooler"]])
            panel.set_xlabel("test accuracy (%)")
            panel.margins(x=0.08)
            panel.grid(axis="x", color="#eeeeee")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="lower center", ncols=2, fontsize=8)


def curves(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Training loss by epoch, mean over the trainings of each point."""
    names = _datasets(table)
    with _panels(path, "Training loss by epoch", lines, names, 4.2, bottom=0.25) as (
        figure,
        axes,
    ):
        for panel, name in zip(axes, names, strict=True):
            part = table[table["dataset"] == name]
            mean = part.groupby(["pooler", "epoch"])["loss"].mean()
            for pooler in COLORS:
                if pooler in mean.index.get_level_values(0):
                    values = mean[pooler]
                    panel.plot(
                        values.index, values, color=COLORS[pooler], marker="o", ms=3,
                        label=label(pooler), ls="--" if "softmax" in pooler else "-",
                    )  # fmt: skip
            panel.set_xlabel("epoch")
            if mean.max() > 10 * mean.min():
                panel.set_yscale("log")
            else:
                panel.set_ylim(bottom=0)
            panel.grid(axis="y")
            panel.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("training loss")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="lower center", ncols=8, fontsize=8)


def stability(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Significant bits of each quantity per pooler."""
    names = _datasets(table)
    title = "Significant bits under random rounding"
    with _panels(path, title, lines, names, 4.8, sharey=True, bottom=0.22) as (
        figure,
        axes,
    ):
        markers = dict(zip(QUANTITIES, "osD^", strict=True))
        colors = [style.BLUE, style.ORANGE, style.BLACK, style.RED]
        for panel, name in zip(axes, names, strict=True):
            part = table[table["dataset"] == name]
            mean = part.groupby(["quantity", "pooler"])["value"].mean()
            poolers = [p for p in COLORS if p in set(part["pooler"])]
            y = np.arange(len(poolers))[::-1]
            for (quantity, words), color in zip(
                QUANTITIES.items(), colors, strict=True
            ):
                panel.scatter(
                    [mean[quantity][p] for p in poolers], y, marker=markers[quantity],
                    color=color, s=26, label=words,
                )  # fmt: skip
            panel.set_yticks(y, [label(p) for p in poolers])
            panel.set_xlim(0, 24.5)
            panel.set_xlabel("significant bits (of 24)")
            panel.grid(axis="x", color="#eeeeee")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="lower center", ncols=4, fontsize=8)


def ties(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Windows whose maximum changes place between samples, and windows with ties."""
    names = _datasets(table)
    title = "Does the place of a window's maximum survive rounding?"
    with _panels(path, title, lines, names, 4.6, sharey=True, bottom=0.23) as (
        figure,
        axes,
    ):
        kinds = {
            "tied": ("tied windows (mostly zeros of ReLU)", "#bbbbbb"),
            "flips": ("place changes between samples", style.RED),
            "flips_above_zero": ("... of those with a maximum above 0", style.ORANGE),
        }
        for panel, name in zip(axes, names, strict=True):
            part = table[table["dataset"] == name]
            mean = part.groupby(["quantity", "pooler"])["value"].mean()
            poolers = [p for p in COLORS if p in set(part["pooler"])]
            y = np.arange(len(poolers))[::-1]
            for shift, (kind, (words, color)) in enumerate(kinds.items()):
                values = [max(100 * mean[kind][p], 1e-4) for p in poolers]
                panel.barh(
                    y + 0.26 * (1 - shift),
                    values,
                    0.24,
                    left=0,
                    color=color,
                    label=words,
                )
            panel.set_yticks(y, [label(p) for p in poolers])
            panel.set_xscale("log")
            panel.set_xlim(5e-3, 100)
            panel.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
            panel.set_xlabel("windows (%)")
        handles, words = axes[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="lower center", ncols=3, fontsize=8)


def fastsurfer(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Bits and Dice of FastSurfer with each pooler's values."""
    with style.picture(path, 8.6, 3.4) as figure:
        top = style.heading(
            figure, "FastSurfer with its pooling replaced, not retrained", list(lines)
        )
        left, right = figure.subplots(1, 2, sharey=True)
        y = np.arange(len(table))[::-1]
        colors = [COLORS[p] for p in table["pooler"]]
        left.barh(y, table["bits"], color=colors)
        left.set_xlabel("bits of the winning logit")
        left.set_xlim(0, 24)
        left.set_yticks(y, [label(p) for p in table["pooler"]])
        right.barh(y, table["dice"], color=colors)
        right.set_xlabel("mean Dice with the unchanged network")
        right.set_xlim(0, 1)
        figure.subplots_adjust(
            left=0.2, right=0.97, bottom=0.17, top=1 - (top + 0.12) / 3.4, wspace=0.08
        )
