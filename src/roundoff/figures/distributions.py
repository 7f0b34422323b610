"""Pictures of how bits are distributed: one map, several maps, subjects and models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from roundoff.errors import RoundoffError
from roundoff.figures import style
from roundoff.figures.style import Caption

MEAN = {
    "marker": "o",
    "linestyle": "",
    "color": style.INK,
    "markerfacecolor": "white",
    "markersize": 5,
}


def bits_histogram(
    path: str | Path,
    table: pd.DataFrame,
    caption: Caption,
    *,
    what: str = "the output",
    estimator: str = "General",
    bound: float = 23.0,
) -> None:
    """Draw the histogram of one map in the colours of the map.

    `table`: `uncertainty.summary.histogram` (bits, measured, identical, share). Voxels
    identical in all samples stand on top of the bar of their lower bound, in the colour
    they have on the map.
    """
    total = (table["measured"] + table["identical"]).sum()
    if total == 0:
        raise RoundoffError("histogram: no voxel carries a number of bits")
    low, high = style.BITS_SCALE
    measured, same = (100 * table[c] / total for c in ("measured", "identical"))
    # A bar spans [k, k + 1) bits: the largest k with all errors below 2^-k.
    centre = table["bits"] + 0.5
    colors = style.bits_colormap()((table["bits"] - low) / (high - low))
    with style.picture(path, 7.6, 4.2) as figure:
        top = style.heading(
            figure,
            f"Distribution of significant bits of {what}",
            caption.lines(f"{estimator} estimator"),
        )
        axes = figure.add_axes((0.09, 0.125, 0.87, 1 - 0.125 - (top + 0.42) / 4.2))
        edge = {"width": 0.92, "edgecolor": style.MUTED, "linewidth": 0.4}
        axes.bar(centre, measured, color=colors, **edge)
        axes.bar(centre, same, bottom=measured, color=style.IDENTICAL, **edge)
        axes.set_ylabel("voxels with a number (%)")
        axes.grid(axis="y")
        style.bits_axis(axes)
        if same.sum() > 0:
            text = (
                f"identical in {style.every(caption.samples)} samples "
                f"(at least {bound:.4g} bits): {same.sum():.3g} %"
            )
            handle = Patch(color=style.IDENTICAL, label=text)
            axes.legend(handles=[handle], loc="upper left")


def bits_violins(
    path: str | Path,
    histograms: Mapping[tuple[str, str], pd.DataFrame],
    title: str,
    lines: Sequence[str],
) -> None:
    """Draw one violin per (model, subject), models side by side, on the fixed scale.

    `histograms`: (model, subject) to `uncertainty.summary.histogram`; widths are shares
    of voxels, the same scale for all violins.
    """
    drawn = {key: t for key, t in histograms.items() if t["share"].sum() > 0}
    if not drawn:
        raise RoundoffError("violins: no map carries a number of bits")
    models = list(dict.fromkeys(model for model, _ in drawn))
    widest = max(table["share"].max() for table in drawn.values())
    places, end = _violin_places(list(drawn), models)
    width = max(5.5, 1.5 + 0.85 * (end + 0.2))
    with style.picture(path, width, 5.0) as figure:
        top = style.heading(figure, title, list(lines))
        left, right = 0.75 / width, 0.75 / width
        height = 1 - (top + 0.3) / 5.0 - 0.95 / 5.0
        axes = figure.add_axes((left, 0.95 / 5.0, 1 - left - right, height))
        for x, model, subject in places:
            color = style.SERIES[models.index(model) % len(style.SERIES)]
            _violin(axes, x, drawn[model, subject], 0.44 / widest, color)
        axes.set_xticks([x for x, *_ in places], [s for *_, s in places])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.7, end - 0.3)
        axes.grid(axis="y")
        style.bits_axis(axes, horizontal=False)
        for index, model in enumerate(models):
            xs = [x for x, m, _ in places if m == model]
            axes.text(
                np.mean(xs),
                -0.13,
                model,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="top",
                weight="bold",
                color=style.SERIES[index % len(style.SERIES)],
            )
        if any(table["identical"].sum() for table in drawn.values()):
            text = "outlined: identical in all samples, at least so many bits"
            figure.text(0.15 / width, 0.1 / 5.0, text, size=8, color=style.MUTED)


def bits_overview(
    path: str | Path, table: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Draw bits per model and subject: mean, quartiles, 5 to 95 % of the voxels.

    `table`: rows of `uncertainty.summary.bits_table` (region "all", one estimator) with
    the columns `model` and `subject` added: mean, p5, p25, p50, p75, p95, identical,
    measured. Models in the order of the table, one line per subject.
    """
    table = table.dropna(subset=["mean"])
    if table.empty:
        raise RoundoffError("overview: no row carries a number of bits")
    models = list(dict.fromkeys(table["model"]))
    rows = len(table) + 1.5 * len(models)
    height = 1.75 + 0.27 * rows
    with style.picture(path, 8.6, height) as figure:
        top = style.heading(figure, title, list(lines))
        bottom, left = 0.85 / height, 1.75 / 8.6
        size = 1 - bottom - (top + 0.42) / height
        axes = figure.add_axes((left, bottom, 1 - left - 1.0 / 8.6, size))
        margin = (0.15 - 1.75) / (8.6 - 1.75 - 1.0)  # the left edge of the page
        y, ticks = 0.0, []
        for index, model in enumerate(models):
            color = style.SERIES[index % len(style.SERIES)]
            _row_text(axes, margin, y, model, weight="bold", color=color, ha="left")
            for row in table[table["model"] == model].itertuples():
                y += 1
                ticks.append((y, f"{row.subject}"))
                _box_row(axes, y, row, color)
            y += 1.5
        axes.set_ylim(y - 0.5, -0.9)
        axes.set_yticks([t for t, _ in ticks], [s for _, s in ticks])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        style.bits_axis(axes)
        _row_text(axes, 1.09, -0.45, "mean bits", color=style.MUTED, ha="right")
        _overview_key(figure)


def subject_bits(
    path: str | Path,
    table: pd.DataFrame,
    summary: pd.DataFrame,
    title: str,
    lines: Sequence[str],
    *,
    notes: Mapping[str, str] | None = None,
    flag: str = "",
    without: pd.DataFrame | None = None,
) -> None:
    """Draw one dot per subject for each series, a panel per output, pairs joined.

    `table`: subject, series, panel, bits, flagged (bool; drawn as open diamonds and
    explained by `flag`). `summary`: series, panel, mean, sd, drawn beside the dots;
    `without`: the same without the flagged subjects, drawn open beside it. `notes`:
    text below a panel, by panel.
    """
    panels = list(dict.fromkeys(table["panel"]))
    notes = notes or {}
    deepest = max((notes.get(p, "").count("\n") + 1 for p in panels), default=1)
    width, height = 0.7 + 4.2 * len(panels), 5.4 + 0.19 * deepest
    with style.picture(path, width, height) as figure:
        top = style.heading(figure, title, list(lines))
        bottom = (0.62 + 0.19 * deepest) / height
        size = 1 - bottom - (top + 0.62) / height
        for index, panel in enumerate(panels):
            box = ((0.75 + 4.2 * index) / width, bottom, 3.2 / width, size)
            axes = figure.add_axes(box)
            part = table[table["panel"] == panel]
            means = [(summary[summary["panel"] == panel], True)]
            if without is not None:
                means.append((without[without["panel"] == panel], False))
            _subject_panel(axes, part, means)
            axes.set_title(panel, pad=8)
            place = {"transform": axes.transAxes, "va": "top", "ha": "left"}
            axes.text(-0.12, -0.12, notes.get(panel, ""), size=8.5, **place)
        _subject_key(figure, flag, without is not None, top / height)


def _violin_places(
    keys: Sequence[tuple[str, str]], models: Sequence[str]
) -> tuple[list[tuple[float, str, str]], float]:
    """(x, model, subject) of each violin, and the width of all.

    Groups are as wide as their names need.
    """
    places, start = [], 0.0
    for model in models:
        subjects = [subject for m, subject in keys if m == model]
        span = max(len(subjects), 0.12 * len(model))
        first = start + (span - len(subjects)) / 2
        places += [(first + k, model, subject) for k, subject in enumerate(subjects)]
        start += span + 0.4
    return places, start - 0.4


def _violin(
    axes: Axes, x: float, table: pd.DataFrame, scale: float, color: str
) -> None:
    # A bin spans [k, k + 1): stepped bars show whole bits as what they are.
    voxels = table["measured"] + table["identical"]
    measured = 2 * scale * table["share"] * table["measured"] / voxels.clip(lower=1)
    whole = 2 * scale * table["share"]
    middle = table["bits"] + 0.5
    bar = {"height": 1.0, "color": color, "linewidth": 0}
    axes.barh(middle, measured, left=x - measured / 2, alpha=0.8, **bar)
    same = table["identical"] > 0
    edge = {"height": 0.9, "facecolor": "none", "edgecolor": color, "linewidth": 1.2}
    axes.barh(middle[same], whole[same], left=x - whole[same] / 2, **edge)


def _box_row(axes: Axes, y: float, row: object, color: str) -> None:
    axes.plot([row.p5, row.p95], [y, y], color=color, alpha=0.55, linewidth=1.6)
    axes.plot(
        [row.p25, row.p75],
        [y, y],
        color=color,
        alpha=0.55,
        linewidth=7,
        solid_capstyle="butt",
    )
    axes.plot(row.p50, y, marker="|", color=style.INK, markersize=9)
    axes.plot(row.mean, y, **MEAN)
    text = f"{row.mean:.2f}"
    if row.identical > 0:
        text = f"≥ {text}"
    _row_text(axes, 1.09, y, text, ha="right")


def _row_text(axes: Axes, x: float, y: float, text: str, **style_: object) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(x, y, text, transform=transform, va="center", **style_)


def _overview_key(figure: Figure) -> None:
    grey = {"color": style.MUTED, "alpha": 0.55}
    handles = [
        Line2D([], [], linewidth=1.6, label="5 to 95 % of voxels", **grey),
        Line2D([], [], linewidth=7, label="middle half", **grey),
        Line2D([], [], marker="|", linestyle="", color=style.INK, label="median"),
        Line2D([], [], label="mean", **MEAN),
        Line2D([], [], linestyle="", label="≥: some voxels never changed"),
    ]
    figure.legend(
        handles=handles, loc="lower center", ncols=5, columnspacing=1.6, fontsize=8
    )


def _subject_panel(
    axes: Axes, part: pd.DataFrame, means: Sequence[tuple[pd.DataFrame, bool]]
) -> None:
    series = list(dict.fromkeys(part["series"]))
    wide = part.pivot(index="subject", columns="series", values="bits")[series]
    axes.plot(range(len(series)), wide.T, color="#cccccc", linewidth=0.6, zorder=1)
    for x, name in enumerate(series):
        color = style.SERIES[x % len(style.SERIES)]
        mine = part[part["series"] == name]
        plain, odd = mine[~mine["flagged"]], mine[mine["flagged"]]
        dots = {"s": 22, "alpha": 0.75, "linewidths": 0, "zorder": 3}
        axes.scatter(np.full(len(plain), x), plain["bits"], color=color, **dots)
        # Equal values would hide each other: fan them out.
        fan = x + 0.055 * (np.arange(len(odd)) - (len(odd) - 1) / 2)
        ring = {"marker": "D", "s": 26, "facecolors": "white", "linewidths": 1.3}
        axes.scatter(fan, odd["bits"], edgecolors=color, zorder=4, **ring)
        for index, (summary, full) in enumerate(means):
            row = summary[summary["series"] == name].iloc[0]
            side = (-1 if x == 0 else 1) * (0.27 + 0.13 * index)
            axes.errorbar(
                x + side,
                row["mean"],
                yerr=row["sd"],
                color=color,
                marker="s",
                markerfacecolor=color if full else "white",
                markersize=6,
                capsize=4,
                linewidth=1.6,
            )
    axes.set_xticks(range(len(series)), series)
    for tick, color in zip(axes.get_xticklabels(), style.SERIES, strict=False):
        tick.set_color(color)
        tick.set_weight("bold")
    axes.set_xlim(-0.6, len(series) - 0.4)
    axes.grid(axis="y")
    style.bits_axis(axes, horizontal=False)


def _subject_key(figure: Figure, flag: str, without: bool, top: float) -> None:
    ink = {"linestyle": "", "color": style.MUTED}
    handles = [
        Line2D([], [], marker="o", markersize=5, label="one subject", **ink),
        Line2D([], [], marker="s", markersize=6, label="mean ± sd", **ink),
    ]
    if flag:
        ring = {"marker": "D", "markerfacecolor": "white", "markersize": 5}
        handles.insert(1, Line2D([], [], label=flag, **ring, **ink))
    if without:
        square = {"marker": "s", "markerfacecolor": "white", "markersize": 6}
        handles.append(Line2D([], [], label="mean ± sd without them", **square, **ink))
    width = figure.get_size_inches()[0]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.08 / width, 1 - top + 0.01),
        ncols=len(handles),
        columnspacing=1.4,
        handletextpad=0.3,
    )
