"""What skipping costs: quality, digits and time against the share skipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from roundoff.figures import style
from roundoff.figures.nan_skip import MODES, color_of

MODE_MARKS = {"aggressive": "^", "conservative": "o"}
MODE_COLORS = {"aggressive": style.RED, "conservative": style.BLUE}
# Where thresholds are written: offset in points, its side, which of several points.
LABELS = {"aggressive": ((0, 7), "left", 0), "conservative": ((6, -12), "left", -1)}
NEAR = (60, 30)  # pixels: points that share one label


def quality(
    path: str | Path,
    subjects: pd.DataFrame,
    panels: Mapping[str, tuple[str, float | None, bool]],
    title: str,
    lines: Sequence[str],
) -> None:
    """Quality against the share of work skipped, one mark per subject and setting.

    `subjects`: mode, threshold, scan, subject, skip_macs and the columns named by
    `panels`: column to (label of its axis, margin drawn around zero or None,
    logarithmic). The first scan is filled, others are hollow. On a logarithmic axis
    what is zero or infinite stands at the edge.
    """
    scans = list(dict.fromkeys(subjects["scan"]))
    width = 1.2 + 4.3 * len(panels)
    with style.picture(path, width, 4.9) as figure:
        top = style.heading(figure, title, list(lines))
        for k, (column, (label, margin, logarithmic)) in enumerate(panels.items()):
            left = (0.9 + k * 4.4) / width
            box = (left, 0.62 / 4.9, 3.55 / width, (4.9 - top - 0.95) / 4.9)
            axes = figure.add_axes(box)
            _quality_panel(axes, subjects, column, scans, margin, logarithmic)
            axes.set_xlabel("share of multiply-accumulates skipped")
            axes.set_ylabel(label)
        handles = [
            Line2D([], [], color=MODE_COLORS[m], marker=MODE_MARKS[m], ls="", label=m)
            for m in MODES
        ]
        for i, scan in enumerate(scans):
            face = style.MUTED if i == 0 else "none"
            look = {"mfc": face, "mec": style.MUTED, "color": style.MUTED}
            handles.append(
                Line2D([], [], marker="s", ls="", label=f"{scan} scan", **look)
            )
        figure.legend(handles=handles, loc="upper right", ncols=len(handles))


def _quality_panel(axes: Axes, subjects, column, scans, margin, logarithmic) -> None:
    values = subjects[column].to_numpy(float)
    usable = np.isfinite(values) & ((values > 0) | (not logarithmic))
    floor = values[usable].min() / 3 if logarithmic and usable.any() else 0.0
    for (mode, scan), part in subjects.groupby(["mode", "scan"], sort=False):
        y = part[column].to_numpy(float)
        if logarithmic:
            y = np.where(y > 0, y, floor)
        y = np.where(np.isposinf(y), np.nanmax(values[usable], initial=1) * 1.05, y)
        face = MODE_COLORS[mode] if scan == scans[0] else "none"
        axes.plot(
            part["skip_macs"],
            y,
            MODE_MARKS[mode],
            mfc=face,
            mec=MODE_COLORS[mode],
            ms=6,
        )
    if margin is not None:
        axes.axhspan(-margin, margin, color=style.GREEN, alpha=0.12, lw=0)
        axes.text(
            0.99, margin, "margin ", transform=axes.get_yaxis_transform(),
            ha="right", va="bottom", size=7.5, color=style.GREEN,
        )  # fmt: skip
    if logarithmic:
        axes.set_yscale("log")
        if floor and (subjects[column] == 0).any():
            axes.axhline(floor * 1.4, color=style.MUTED, lw=0.7, ls=":")
            axes.text(
                0.99, floor * 1.4, "below: none at all", size=7.5, color=style.MUTED,
                transform=axes.get_yaxis_transform(), ha="right", va="bottom",
            )  # fmt: skip
    axes.set_xlim(-0.02, subjects["skip_macs"].max() + 0.1)
    _name_thresholds(axes, subjects[subjects["scan"] == scans[0]], column, floor)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")


def _name_thresholds(axes: Axes, part: pd.DataFrame, column: str, floor) -> None:
    means = part.replace(np.inf, np.nan).groupby(["mode", "threshold"])
    points = means[["skip_macs", column]].mean().reset_index()
    points[column] = points[column].replace(0, floor)
    _name_points(axes, points.dropna(), column)


def _name_points(axes: Axes, points: pd.DataFrame, column: str) -> None:
    """Write the threshold beside every point, once for points that nearly coincide."""
    axes.autoscale_view()
    for mode, part in points.groupby("mode"):
        offset, side, end = LABELS[mode]
        groups: list[list] = []
        for row in part.sort_values("skip_macs").to_dict("records"):
            at = axes.transData.transform((row["skip_macs"], row[column]))
            if groups and np.all(np.abs(at - groups[-1][-1][0]) < NEAR):
                groups[-1].append((at, row))
            else:
                groups.append([(at, row)])
        for group in groups:
            row = group[end][1]
            axes.annotate(
                ", ".join(f"{r['threshold']:g}" for _, r in group),
                (row["skip_macs"], row[column]),
                offset,
                textcoords="offset points",
                ha=side,
                size=7.5,
                color=MODE_COLORS[mode],
            )


def bits(
    path: str | Path, subjects: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Bits of the output in brain and background, and the share that has a number.

    `subjects`: mode, threshold, subject and, per zone, bits_, bits_original_, defined_
    of one model and tolerance. The unmodified network is the open circle: its bits on
    the same pixels.
    """
    groups = [
        (mode, t)
        for mode in MODES
        for t in sorted(subjects.loc[subjects["mode"] == mode, "threshold"].unique())[
            ::-1
        ]
    ]
    with style.picture(path, 9.2, 5.0) as figure:
        top = style.heading(figure, title, list(lines))
        for k, zone in enumerate(("brain", "background")):
            box = (0.07 + 0.47 * k, 0.98 / 5, 0.41, (5 - top - 1.3) / 5)
            axes = figure.add_axes(box)
            for x, (mode, threshold) in enumerate(groups):
                chosen = (subjects["mode"] == mode) & (
                    subjects["threshold"] == threshold
                )
                _bits_column(axes, x, subjects[chosen], zone, MODE_COLORS[mode])
            names = [f"{m[:4]}. {t:g}" for m, t in groups]
            axes.set_xticks(range(len(groups)), names, rotation=40, ha="right")
            axes.set_title(zone, loc="left")
            axes.set_ylim(0, 24.5)
            axes.set_ylabel("significant bits of the output")
            axes.grid(axis="y")
        handles = [
            Line2D(
                [], [], marker="o", ls="", mfc="none", mec=style.INK, label="unmodified"
            ),
            Line2D([], [], marker="o", ls="", color=style.MUTED, label="converted"),
        ]
        figure.legend(handles=handles, loc="lower center", ncols=2)


def _bits_column(axes: Axes, x: int, part: pd.DataFrame, zone: str, color) -> None:
    spread = np.linspace(-0.18, 0.18, len(part)) if len(part) > 1 else [0.0]
    for dx, (_, row) in zip(spread, part.iterrows(), strict=True):
        before, after = row[f"bits_original_{zone}"], row[f"bits_{zone}"]
        axes.plot([x + dx] * 2, [before, after], color=color, lw=0.8)
        axes.plot(x + dx, before, "o", mfc="none", mec=style.INK, ms=5)
        axes.plot(x + dx, after, "o", color=color, ms=5)
    share = part[f"defined_{zone}"].mean()
    axes.text(x, 24.4, f"{100 * share:.0f} %", ha="center", va="top", size=7)


def block_bits(
    path: str | Path, table: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Bits after every block, by zone and mode: unmodified in black.

    `table`: job (the mode measured), mode ("original" or the job's), threshold, block,
    order, zone, bits, undetermined: means over views and subjects, one tolerance.
    """
    names = table.sort_values("order")["block"].drop_duplicates().tolist()
    thresholds = sorted(table["threshold"].dropna().unique(), reverse=True)
    with style.picture(path, 10.4, 7.0) as figure:
        top = style.heading(figure, title, list(lines))
        height = (7.0 - top - 1.5) / 2 / 7.0
        for row, zone in enumerate(("brain", "background")):
            for column, mode in enumerate(MODES):
                bottom = 0.92 / 7.0 + (1 - row) * (height + 0.4 / 7.0)
                axes = figure.add_axes((0.06 + 0.42 * column, bottom, 0.385, height))
                part = table[(table["zone"] == zone) & (table["job"] == mode)]
                _profile(axes, part, names, thresholds)
                axes.set_title(f"{zone}, {mode}", loc="left", size=9)
                if row == 0:
                    axes.set_xticklabels([])
                if column == 0:
                    axes.set_ylabel("significant bits")
        handles = [Line2D([], [], color=style.INK, label="unmodified")]
        handles += [
            Line2D([], [], color=color_of(t, thresholds), label=f"T={t:g}")
            for t in thresholds
        ]
        figure.legend(handles=handles, loc="center right", bbox_to_anchor=(1, 0.5))


def _profile(axes: Axes, part: pd.DataFrame, names, thresholds) -> None:
    for (mode, threshold), rows in part.groupby(["mode", "threshold"], dropna=False):
        rows = rows.set_index("block").reindex(names)
        original = mode == "original"
        axes.plot(
            range(len(names)),
            rows["bits"],
            color=style.INK if original else color_of(threshold, thresholds),
            marker="o",
            ms=3.2,
            lw=1.8 if original else 1.1,
            zorder=2 if original else 3,
        )
    size = 8 if len(names) < 20 else 6.5
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", size=size)
    axes.set_ylim(0, 24)
    axes.grid(axis="y")


def time_against_skip(
    path: str | Path, time: pd.DataFrame, title: str, lines: Sequence[str]
) -> None:
    """Measured speed-up against the share of work skipped, one panel per model.

    `time`: title, mode, threshold, network, skip_macs, speed_up, slowest, quickest,
    speed_up_dense of one clock. Filled: against the unmodified network as it is;
    hollow: against it with channels last and batch norm folded. The curve is the ideal.
    """
    models = list(dict.fromkeys(time["title"]))
    width = 0.8 + 4.4 * len(models)
    with style.picture(path, width, 5.0) as figure:
        top = style.heading(figure, title, list(lines))
        for k, model in enumerate(models):
            box = (
                (0.7 + 4.4 * k) / width, 0.98 / 5, 3.7 / width, (5 - top - 1.35) / 5
            )  # fmt: skip
            axes = figure.add_axes(box)
            _time_panel(axes, time[time["title"] == model])
            axes.set_title(model, loc="left")
        handles = [
            Line2D([], [], color=MODE_COLORS[m], marker=MODE_MARKS[m], ls="", label=m)
            for m in MODES
        ]
        look = {"mec": style.MUTED, "marker": "s", "ls": ""}
        handles += [
            Line2D([], [], mfc=style.MUTED, label="over unmodified", **look),
            Line2D([], [], mfc="none", label="over channels last", **look),
            Line2D([], [], color=style.MUTED, ls="--", label="ideal"),
        ]
        figure.legend(handles=handles, loc="lower center", ncols=5)


def _time_panel(axes: Axes, part: pd.DataFrame) -> None:
    x = np.linspace(0, 0.75, 50)
    axes.plot(x, 1 / (1 - x), "--", color=style.MUTED, lw=1)
    axes.axhline(1, color=style.INK, lw=0.8)
    rows = part[part["network"] == "converted"]
    for row in rows.itertuples():
        color, mark = MODE_COLORS[row.mode], MODE_MARKS[row.mode]
        axes.plot([row.skip_macs] * 2, [row.slowest, row.quickest], color=color, lw=0.9)
        axes.plot(row.skip_macs, row.speed_up, mark, color=color, ms=6)
        axes.plot(row.skip_macs, row.speed_up_dense, mark, mfc="none", mec=color, ms=6)
    axes.set_ylim(0, max(2.5, rows["quickest"].max() * 1.1))
    _name_points(axes, rows, "speed_up")
    axes.text(0.99, 0.02, "below 1: slower", transform=axes.transAxes, ha="right",
              size=8, color=style.MUTED)  # fmt: skip
    axes.set_xlabel("share of multiply-accumulates skipped")
    axes.set_ylabel("speed-up")
    axes.grid(axis="y")
