"""Time trials of the NaN convolution: speed-ups, with the rows that lose shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from roundoff.figures import style

KERNEL_COLORS = {1: style.GREEN, 3: style.BLUE, 5: style.RED}
MASK_COLORS = {"brain": style.BLUE, "border": style.GREEN, "random": style.RED}
CONTESTANTS = {
    "vs_last": ("over channels last", style.BLUE),
    "vs_default": ("over default layout", style.ORANGE),
    "bands_vs_last": ("PyTorch bands over channels last", style.MUTED),
}


def _lost(axes: Axes, x, y) -> None:
    """A ring around what is slower than PyTorch."""
    slower = np.asarray(y) < 1
    axes.plot(
        np.asarray(x)[slower], np.asarray(y)[slower], "o", mfc="none", mec=style.BLACK,
        ms=9, mew=1.0, zorder=5,
    )  # fmt: skip


def _frame(axes: Axes) -> None:
    axes.axhline(1, color=style.INK, lw=0.8)
    axes.grid(axis="y")


def _log_speed(axes: Axes, values, high: float) -> None:
    """A logarithmic axis of speed-ups that shows the lowest of `values`."""
    known = np.asarray(values, float)
    lowest = known[np.isfinite(known) & (known > 0)].min(initial=0.5)
    low = 2.0 ** np.floor(np.log2(lowest) - 0.1)
    axes.set_yscale("log", base=2)
    ticks = [2.0**k for k in range(-8, 9) if low <= 2.0**k <= high]
    axes.set_yticks(ticks, [f"{t:.3g}" for t in ticks])
    axes.set_ylim(low, high)


def shares(
    path: str | Path, rows: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Speed-up against the share of NaN, one panel per shape of mask.

    `rows`: mask, nan_share, ideal and a column for each of `CONTESTANTS`, of one layer.
    """
    masks = list(dict.fromkeys(rows["mask"]))
    with style.picture(path, 10.2, 4.9) as figure:
        top = style.heading(figure, title, list(lines))
        width = 0.9 / len(masks) - 0.045
        for k, mask in enumerate(masks):
            box = (
                0.06 + k * 0.92 / len(masks),
                1.0 / 4.9,
                width,
                (4.9 - top - 1.4) / 4.9,
            )
            axes = figure.add_axes(box)
            part = rows[rows["mask"] == mask].sort_values("nan_share")
            axes.plot(part["nan_share"], part["ideal"], "--", color=style.MUTED, lw=1)
            for column, (_, color) in CONTESTANTS.items():
                axes.plot(part["nan_share"], part[column], "o-", color=color, ms=4)
                _lost(axes, part["nan_share"], part[column])
            _log_speed(axes, rows[list(CONTESTANTS)], high=32)
            _frame(axes)
            axes.set_title(mask, loc="left")
            axes.set_xlabel("share of NaN")
            if k == 0:
                axes.set_ylabel("speed-up")
        _legend(figure, dict(CONTESTANTS.values()))


def _legend(figure, colors: Mapping[str, str], ideal: bool = True) -> None:
    handles = [
        Line2D([], [], color=c, marker="o", ms=4, label=n) for n, c in colors.items()
    ]
    if ideal:
        handles.append(
            Line2D([], [], color=style.MUTED, ls="--", label="ideal, 1 / (1 - skipped)")
        )
    ring = {"marker": "o", "ls": "", "mfc": "none", "mec": style.BLACK, "ms": 9}
    handles.append(Line2D([], [], label="slower than PyTorch", **ring))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles))


def layers(
    path: str | Path,
    panels: Mapping[str, tuple[str, pd.DataFrame]],
    title: str,
    lines: Sequence[str],
) -> None:
    """Speed-up over channels last by size, channels, ...; one line per kernel.

    `panels`: title of a panel to (column along x, rows with kernel, ideal, vs_last).
    """
    measured = [rows["vs_last"].to_numpy() for _, rows in panels.values()]
    with style.picture(path, 10.2, 4.9) as figure:
        top = style.heading(figure, title, list(lines))
        for k, (name, (column, rows)) in enumerate(panels.items()):
            step = 0.92 / len(panels)
            box = (0.075 + k * step, 1.0 / 4.9, step - 0.05, (4.9 - top - 1.4) / 4.9)
            axes = figure.add_axes(box)
            for kernel, part in rows.groupby("kernel"):
                part = part.sort_values(column)
                color = KERNEL_COLORS.get(kernel, style.INK)
                axes.plot(part[column], part["vs_last"], "o-", color=color, ms=4)
                axes.plot(part[column], part["ideal"], "--", color=style.MUTED, lw=1)
                _lost(axes, part[column], part["vs_last"])
            axes.set_xscale("log", base=2)
            ticks = sorted(rows[column].unique())
            axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
            axes.minorticks_off()
            _log_speed(axes, np.concatenate(measured), high=8)
            _frame(axes)
            axes.set_title(name, loc="left", size=9)
            axes.set_xlabel(column)
            if k == 0:
                axes.set_ylabel("speed-up over channels last")
            else:
                axes.set_yticklabels([])
        kernels = {f"kernel {k}": c for k, c in KERNEL_COLORS.items()}
        _legend(figure, kernels)


def every_row(
    path: str | Path, rows: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Every row measured: speed-up over channels last against the ideal."""
    with style.picture(path, 6.4, 5.6) as figure:
        top = style.heading(figure, title, list(lines))
        axes = figure.add_axes((0.13, 0.95 / 5.6, 0.84, (5.6 - top - 1.15) / 5.6))
        axes.plot([1, 64], [1, 64], "--", color=style.MUTED, lw=1)
        for mask, part in rows.groupby("mask", sort=False):
            color = MASK_COLORS.get(mask, style.INK)
            axes.plot(part["ideal"], part["vs_last"], "o", color=color, ms=3.5)
        _lost(axes, rows["ideal"], rows["vs_last"])
        _log_speed(axes, rows["vs_last"], high=32)
        axes.set_xscale("log", base=2)
        ticks = [1, 2, 4, 8, 16, 32, 64]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xlim(0.9, 64)
        _frame(axes)
        axes.set_xlabel("ideal speed-up, 1 / (1 - skipped)")
        axes.set_ylabel("measured speed-up over channels last")
        _legend(
            figure, {m: c for m, c in MASK_COLORS.items() if m in set(rows["mask"])}
        )


def network(
    path: str | Path, rows: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """A whole network in all its forms: speed-up and what it skips."""
    with style.picture(path, 7.6, 3.4) as figure:
        top = style.heading(figure, title, list(lines))
        axes = figure.add_axes((0.24, 0.5 / 3.4, 0.72, (3.4 - top - 0.6) / 3.4))
        y = np.arange(len(rows))[::-1]
        colors = [style.RED if s < 1 else style.SKY for s in rows["speed_up"]]
        axes.barh(y, rows["speed_up"], color=colors, height=0.6, alpha=0.6)
        for place, row in zip(y, rows.itertuples(), strict=True):
            words = f"{row.speed_up:.2f}  ({row.ms:.0f} ms"
            if np.isfinite(row.skipped_macs):
                words += f", {100 * row.skipped_macs:.0f} % of the work skipped"
            words += f", labels {100 * row.labels_equal:.2f} % equal)"
            axes.text(0.02, place, words, va="center", size=8)
        axes.axvline(1, color=style.INK, lw=0.8)
        axes.set_yticks(y, rows["network"])
        axes.set_xlabel("speed-up")


def history(
    path: str | Path,
    rows: pd.DataFrame,
    published: pd.DataFrame,
    title: str,
    lines: Sequence[str],
) -> None:
    """The published comparison: the loop against itself, the share skipped, PyTorch.

    `rows`: side, mask, nominal, skipped, speed_up, loop_ms, nan_loop_ms, torch_ms.
    `published`: mask, nominal, speed_up.
    """
    sides = sorted(rows["side"].unique())
    shades = dict(zip(sides, style.SERIES, strict=False))
    with style.picture(path, 10.2, 7.0) as figure:
        top = style.heading(figure, title, list(lines))
        height = (7.0 - top - 2.1) / 2 / 7.0
        for r, mask in enumerate(dict.fromkeys(rows["mask"])):
            bottom = 0.95 / 7.0 + (1 - r) * (height + 0.8 / 7.0)
            columns = ("speed_up", "skipped", "torch")
            for k, column in enumerate(columns):
                axes = figure.add_axes((0.065 + k * 0.315, bottom, 0.25, height))
                part = rows[rows["mask"] == mask]
                _history_panel(axes, part, column, shades)
                if column == "speed_up":
                    known = published[published["mask"] == mask]
                    axes.plot(known["nominal"], known["speed_up"], "kx", ms=7)
                axes.set_title(f"{mask} NaN", loc="left", size=9)
                axes.set_xlabel("nominal share of NaN", size=8)
        handles = [
            Line2D([], [], color=c, marker="o", ms=4, label=f"{n} x {n}")
            for n, c in shades.items()
        ]
        mark = {"color": style.BLACK, "marker": "x", "ls": ""}
        handles.append(Line2D([], [], label="published, mean over sizes", **mark))
        figure.legend(handles=handles, loc="lower center", ncols=len(handles))


def _history_panel(axes: Axes, part: pd.DataFrame, column: str, shades) -> None:
    labels = {
        "speed_up": "loop / loop with NaN",
        "skipped": "windows skipped",
        "torch": "loop with NaN / PyTorch",
    }
    for side, rows in part.groupby("side"):
        rows = rows.sort_values("nominal")
        values = (
            rows["nan_loop_ms"] / rows["torch_ms"]
            if column == "torch"
            else rows[column]
        )
        axes.plot(rows["nominal"], values, "o-", color=shades[side], ms=3.5)
    if column == "torch":
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 if column == "skipped" else None)
    if column == "speed_up":
        axes.axhline(1, color=style.INK, lw=0.8)
    axes.set_ylabel(labels[column], size=8)
    axes.grid(axis="y")
