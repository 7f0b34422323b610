"""How much NaN operations skip: by block, and along the slices of a view."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from roundoff.figures import style

MODES = ("aggressive", "conservative")
COLORS = {1.0: style.BLUE, 0.8: style.SKY, 0.75: style.SKY, 0.5: style.ORANGE}
COLORS |= {0.4: style.RED}
OTHERS = (style.GREEN, style.PINK, style.YELLOW, style.BLACK)


def color_of(threshold: float, thresholds: Sequence[float]) -> str:
    """The colour of a threshold, the same in every picture."""
    if threshold in COLORS:
        return COLORS[threshold]
    others = [t for t in sorted(thresholds) if t not in COLORS]
    return OTHERS[others.index(threshold) % len(OTHERS)]


def by_block(
    path: str | Path,
    blocks: pd.DataFrame,
    published: pd.DataFrame,
    title: str,
    lines: Sequence[str],
) -> None:
    """Skipped share of every block, one panel per mode, one line per threshold.

    `blocks`: mode, threshold, scan, block, order, share, work of one model and
    tolerance; the first scan is drawn full, others dashed. `published`: mode,
    threshold, block, share (mean over views), drawn as crosses.
    """
    names = blocks.sort_values("order")["block"].drop_duplicates().tolist()
    scans = list(dict.fromkeys(blocks["scan"]))
    thresholds = sorted(set(blocks["threshold"]), reverse=True)
    with style.picture(path, 9.2, 7.2) as figure:
        top = style.heading(figure, title, list(lines))
        height = (7.2 - top - 1.45) / 2 / 7.2
        for row, mode in enumerate(MODES):
            bottom = 0.78 / 7.2 + (1 - row) * (height + 0.42 / 7.2)
            axes = figure.add_axes((0.075, bottom, 0.76, height))
            part = blocks[blocks["mode"] == mode]
            known = published[published["mode"] == mode]
            _block_panel(axes, part, known, names, scans, thresholds)
            axes.set_title(f"{mode} mode", loc="left")
            if row == 0:
                axes.set_xticklabels([])
        _block_legend(figure, thresholds, scans, len(published) > 0)


def _block_panel(axes: Axes, part, known, names, scans, thresholds) -> None:
    place = {name: i for i, name in enumerate(names)}
    work = part.drop_duplicates("block").set_index("block")["work"].reindex(names)
    axes.bar(range(len(names)), work, color=style.GRID, width=0.9, zorder=0)
    for (threshold, scan), rows in part.groupby(["threshold", "scan"], sort=False):
        rows = rows.set_index("block").reindex(names)
        full = scan == scans[0]
        axes.plot(
            range(len(names)),
            rows["share"],
            color=color_of(threshold, thresholds),
            ls="-" if full else ":",
            lw=1.6 if full else 1.0,
            marker="o" if full else None,
            ms=3.5,
        )
    for threshold, rows in known.groupby("threshold"):
        inside = rows[rows["block"].isin(place)]
        axes.plot(
            [place[b] for b in inside["block"]],
            inside["share"],
            "x",
            color=color_of(threshold, thresholds),
            ms=7,
            mew=1.6,
        )
    size = 8.5 if len(names) < 16 else 7
    axes.set_xticks(range(len(names)), names, rotation=55, ha="right", size=size)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of windows skipped")
    axes.grid(axis="y")


def _block_legend(figure, thresholds, scans, published: bool) -> None:
    handles = [
        Line2D(
            [], [], color=color_of(t, thresholds), marker="o", ms=3.5, label=f"T={t:g}"
        )
        for t in thresholds
    ]
    for i, scan in enumerate(scans):
        look = "-" if i == 0 else ":"
        handles.append(Line2D([], [], color=style.MUTED, ls=look, label=f"{scan} scan"))
    if published:
        handles.append(
            Line2D([], [], color=style.MUTED, marker="x", ls="", label="published")
        )
    handles.append(Line2D([], [], color=style.GRID, lw=6, label="share of the\nwork"))
    figure.legend(handles=handles, loc="center right", bbox_to_anchor=(0.995, 0.5))


def by_slice(
    path: str | Path, slices: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Skipped share along each view, weighted by work; one line per subject.

    `slices`: mode, threshold, view, slice, subject, brain, skip_macs, skip_blocks of
    one model, scan and tolerance. Slices that show brain are shaded; the unweighted
    share over blocks, as published, is dotted.
    """
    views = list(dict.fromkeys(slices["view"]))
    thresholds = sorted(set(slices["threshold"]), reverse=True)
    with style.picture(path, 10.2, 6.4) as figure:
        top = style.heading(figure, title, list(lines))
        height = (6.4 - top - 1.3) / 2 / 6.4
        width = 0.82 / len(views) - 0.03
        for row, mode in enumerate(MODES):
            for column, view in enumerate(views):
                left = 0.06 + column * (width + 0.03)
                bottom = 0.5 / 6.4 + (1 - row) * (height + 0.42 / 6.4)
                axes = figure.add_axes((left, bottom, width, height))
                chosen = (slices["mode"] == mode) & (slices["view"] == view)
                _slice_panel(axes, slices[chosen], thresholds)
                axes.set_title(f"{mode}, {view}", loc="left", size=9)
                if column:
                    axes.set_yticklabels([])
                else:
                    axes.set_ylabel("share skipped")
                if row:
                    axes.set_xlabel("slice")
                else:
                    axes.set_xticklabels([])
        handles = [
            Line2D([], [], color=color_of(t, thresholds), label=f"T={t:g}")
            for t in thresholds
        ]
        handles.append(Line2D([], [], color=style.MUTED, label="of the work"))
        handles.append(Line2D([], [], color=style.MUTED, ls=":", label="of windows"))
        figure.legend(handles=handles, loc="center right", bbox_to_anchor=(0.998, 0.5))


def _slice_panel(axes: Axes, part: pd.DataFrame, thresholds) -> None:
    shown = part.loc[part["brain"] > 0, "slice"]
    if len(shown):
        axes.axvspan(shown.min(), shown.max(), color="#f1f1f1", lw=0, zorder=0)
    for (threshold, _), rows in part.groupby(["threshold", "subject"], sort=False):
        color = color_of(threshold, thresholds)
        axes.plot(rows["slice"], rows["skip_macs"], color=color, lw=1.3)
        axes.plot(rows["slice"], rows["skip_blocks"], color=color, lw=0.9, ls=":")
    axes.set_ylim(0, 1)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(axis="y")
