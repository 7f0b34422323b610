"""Pictures of regions: min Dice and the spread of volumes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from roundoff.errors import RoundoffError
from roundoff.figures import style
from roundoff.figures.style import Caption

WIDTH, ROW = 8.6, 0.2  # inches; ROW per region
NAMES = 2.35  # inches for region names


def min_dice(
    path: str | Path,
    table: pd.DataFrame,
    title: str,
    lines: Sequence[str],
    *,
    threshold: float | None = 0.99,
    series: str | None = None,
) -> None:
    """Draw min Dice per region, worst region on top.

    `table`: one row per region (and per value of the column `series`, e.g. "model" or
    "tool") with `region`, `mean`, `min`, `max` over subjects, as made by
    `uncertainty.summary.over_subjects(table, "min_dice", [series, "region"])`. A table
    of one subject may carry `min_dice` instead. The dot is the mean, the line runs from
    the worst to the best subject. Regions are sorted by the mean of the first series.
    `title`, `lines`: heading (`Caption.lines()`). `threshold`: a dashed line; in a
    picture of one series, regions that fall below it in any subject are red.
    """
    table = _with_range(table)
    groups = [(None, table)]
    if series is not None:
        groups = [(name, group) for name, group in table.groupby(series, sort=False)]
    order = groups[0][1].dropna(subset="mean").sort_values("mean", kind="stable")
    regions = order["region"].tolist()
    rest = table.dropna(subset="mean")["region"]
    regions += sorted(set(rest) - set(regions))
    _need_rows(regions, "min Dice")
    several = bool((table["max"] > table["min"]).any())
    with _chart(path, len(regions), title, lines) as axes:
        _stripes(axes, regions)
        offsets = np.linspace(-0.18, 0.18, len(groups)) if len(groups) > 1 else [0]
        for (_, group), color, offset in zip(
            groups, style.SERIES, offsets, strict=False
        ):
            limit = threshold if len(groups) == 1 else None
            _dice_series(axes, group, regions, offset, color, limit)
        low = float(table["min"].min())
        _dice_scale(axes, low, threshold)
        axes.set_xlabel("min Dice over all pairs of samples")
        _dice_key(axes, groups, several, threshold)


def volume_spread(
    path: str | Path,
    samples: pd.DataFrame,
    table: pd.DataFrame,
    caption: Caption,
) -> None:
    """Draw how far the volume of each region wanders over the samples.

    `samples`: `uncertainty.volumes.Volumes.samples()` (region, sample,
    deviation_percent). `table`: `Volumes.table()` (region, mean_mm3, cv_percent,
    digits, identical), which gives order and the numbers at the right. Regions of one
    volume in all samples have a single dot at zero and "identical".
    """
    order = table.sort_values(["cv_percent", "region"], ascending=[False, True])
    regions = order["region"].tolist()
    _need_rows(regions, "volumes")
    place = {region: row for row, region in enumerate(regions)}
    lines = caption.lines("each dot is one sample")
    title = "Volume of each region over the samples"
    with _chart(path, len(regions), title, lines, right=2.4) as axes:
        _stripes(axes, regions)
        rows = samples["region"].map(place)
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
        axes.scatter(
            samples["deviation_percent"],
            rows,
            s=20,
            color=style.BLUE,
            alpha=0.55,
            linewidths=0,
            clip_on=False,
        )
        reach = float(samples["deviation_percent"].abs().max()) * 1.08
        axes.set_xlim(-reach or -1, reach or 1)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("deviation from the mean volume (%)")
        columns = ((1.255, "mean (mm³)"), (1.4, "sd (%)"), (1.58, "digits"))
        for x, head in columns:
            _beside(axes, x, -0.95, head, color=style.MUTED)
        for row, region in enumerate(order.itertuples()):
            digits = "identical" if region.identical else f"{region.digits:.1f}"
            spread = "0" if region.identical else f"{region.cv_percent:.2g}"
            texts = (f"{region.mean_mm3:,.0f}", spread, digits)
            for (x, _), text in zip(columns, texts, strict=True):
                _beside(axes, x, row, text)


def _with_range(table: pd.DataFrame) -> pd.DataFrame:
    if "mean" in table and "min" in table and "max" in table:
        return table
    if "min_dice" not in table:
        raise RoundoffError("table: needs the columns mean, min, max, or min_dice")
    return table.assign(
        mean=table["min_dice"], min=table["min_dice"], max=table["min_dice"]
    )


def _need_rows(regions: list[str], what: str) -> None:
    if not regions:
        raise RoundoffError(f"{what}: no region with a number, nothing to draw")


class _chart:  # noqa: N801 (used as a function: with _chart(...) as axes)
    """One axes with a row per region, names at the left."""

    def __init__(
        self,
        path: str | Path,
        rows: int,
        title: str,
        lines: Sequence[str],
        right: float = 0.3,
    ) -> None:
        self.top = 0.55 + 0.19 * len([x for x in lines if x]) + 0.3
        self.height = self.top + ROW * (rows + 1) + 0.75
        self.rows, self.title, self.lines, self.right = rows, title, list(lines), right
        self._open = style.picture(path, WIDTH, self.height)

    def __enter__(self) -> Axes:
        figure = self._open.__enter__()
        style.heading(figure, self.title, self.lines)
        width = (WIDTH - NAMES - self.right) / WIDTH
        height = ROW * (self.rows + 1) / self.height
        axes = figure.add_axes((NAMES / WIDTH, 0.75 / self.height, width, height))
        axes.set_ylim(self.rows, -1)
        return axes

    def __exit__(self, *error: object) -> bool | None:
        return self._open.__exit__(*error)


def _stripes(axes: Axes, regions: list[str]) -> None:
    axes.set_yticks(range(len(regions)), [r.replace("-", " ") for r in regions])
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    for row in range(0, len(regions), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=0, linewidth=0)


def _dice_series(
    axes: Axes,
    group: pd.DataFrame,
    regions: list[str],
    offset: float,
    color: str,
    threshold: float | None,
) -> None:
    place = {region: row for row, region in enumerate(regions)}
    group = group.dropna(subset="mean")
    y = group["region"].map(place) + offset
    colors = [color] * len(group)
    if threshold is not None:
        colors = [style.RED if low < threshold else color for low in group["min"]]
    axes.hlines(y, group["min"], group["max"], color=colors, alpha=0.45, linewidth=2.2)
    axes.scatter(group["mean"], y, s=24, color=colors, zorder=3, clip_on=False)


def _dice_scale(axes: Axes, low: float, threshold: float | None) -> None:
    low = low if threshold is None else min(low, threshold)
    span = max(1 - low, 1e-4)
    axes.set_xlim(max(low - 0.05 * span, -0.02), 1 + 0.015 * span)
    if threshold is not None:
        axes.axvline(threshold, color=style.MUTED, linestyle=(0, (4, 3)), linewidth=1)


def _dice_key(
    axes: Axes, groups: Sequence, several: bool, threshold: float | None
) -> None:
    handles = []
    dot = {"marker": "o", "linestyle": "", "markersize": 5}
    if len(groups) > 1:
        for (name, _), color in zip(groups, style.SERIES, strict=False):
            handles.append(Line2D([], [], color=color, label=str(name), **dot))
    elif several:
        mean = Line2D([], [], color=style.BLUE, label="mean of subjects", **dot)
        handles.append(mean)
    if several:
        text = "worst to best subject"
        bar = Line2D([], [], color=style.MUTED, alpha=0.5, linewidth=2.2, label=text)
        handles.append(bar)
    if threshold is not None:
        style_ = {"linestyle": (0, (4, 3)), "linewidth": 1, "color": style.MUTED}
        handles.append(Line2D([], [], label=f"Dice {threshold:g}", **style_))
        if len(groups) == 1 and (groups[0][1]["min"] < threshold).any():
            text = f"below {threshold:g}"
            handles.append(Line2D([], [], color=style.RED, label=text, **dot))
    if handles:
        axes.legend(
            handles=handles,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(handles),
            borderaxespad=0.2,
            handlelength=1.6,
            columnspacing=1.4,
        )


def _beside(
    axes: Axes, x: float, row: float, text: str, color: str = style.INK
) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(
        x, row, text, transform=transform, ha="right", va="center", size=8, color=color
    )
