"""Figures of the published tables of arXiv 2308.01939, by our own figure code.

Every number drawn or printed comes from `uncertainty.published`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from roundoff.figures import style
from roundoff.figures.distributions import subject_bits
from roundoff.figures.regions import min_dice

SOURCE = "Published tables of arXiv 2308.01939 (UNSURE 2023), aggregated by Roundoff"


def registration_figure(
    path: str | Path, long: pd.DataFrame, summary: pd.DataFrame, tests: pd.DataFrame
) -> None:
    """Bits per subject and tool; exactly 23.0 marked, both readings given.

    Arguments: `registration_long`, `registration_summary`, `registration_tests`.
    """
    passed = long[long["qc"] == "pass"]
    names = {"tool": "series", "output": "panel", "suspicious": "flagged"}
    published = summary[summary["reading"] == "as published"]
    without = summary[summary["reading"] == "without identical"]
    never = passed.loc[passed["suspicious"], "subject"].nunique()
    notes = {
        output: _registration_note(output, summary, tests, never)
        for output in passed["output"].unique()
    }
    subject_bits(
        path,
        passed.rename(columns=names),
        published.rename(columns=names),
        "Registration: significant bits per subject",
        [
            f"{SOURCE}.",
            f"{passed['subject'].nunique()} subjects that pass quality control. In "
            f"{never}, FreeSurfer never varied: was the perturbation on?",
        ],
        notes=notes,
        flag=f"exactly 23.0: never varied ({never} subjects)",
        without=without.rename(columns=names),
    )


def dice_regions_figure(path: str | Path, regions: pd.DataFrame) -> None:
    """Min Dice per region for both tools (`dice_by(long, "region")`)."""
    subjects = int(regions["n"].max())
    lines = [
        f"{SOURCE}.",
        f"{subjects} subjects, 5 segmentations each (10 pairs).",
    ]
    title = "Segmentation: min Dice per region"
    min_dice(path, regions, title, lines, threshold=None, series="tool")


def dice_subjects_figure(
    path: str | Path,
    subjects: pd.DataFrame,
    regions: pd.DataFrame,
    summary: pd.DataFrame,
    tests: pd.DataFrame,
) -> None:
    """Mean over regions per subject, and how far the tools agree on the regions.

    Arguments: `dice_by` subject and region, `dice_summary`, `dice_tests`.
    """
    tools = summary["tool"].tolist()
    row = tests.iloc[0]
    lines = [f"{SOURCE}.", _dice_note(summary, row)]
    with style.picture(path, 10.2, 5.2) as figure:
        top = style.heading(figure, "Segmentation: min Dice per subject", lines)
        size = 1 - (top + 0.4) / 5.2 - 0.14
        left = figure.add_axes((0.07, 0.14, 0.42, size))
        _subject_ranks(left, subjects, tools)
        right = figure.add_axes((0.58, 0.14, 0.39, size))
        _region_scatter(right, regions, tools)
        right.set_title(f"Regions: Spearman's rho = {row['region_spearman']:.2f}")


def _registration_note(
    output: str, summary: pd.DataFrame, tests: pd.DataFrame, never: int
) -> str:
    lines = []
    for reading, words in (
        ("as published", "as published"),
        ("without identical", f"without the {never} that never varied"),
    ):
        rows = summary[(summary["reading"] == reading) & (summary["output"] == output)]
        rows = rows.set_index("tool")
        test = tests[(tests["reading"] == reading) & (tests["output"] == output)]
        parts = [
            f"{tool} {rows.loc[tool, 'mean']:.2f} ± {rows.loc[tool, 'sd']:.2f}"
            for tool in rows.index
        ]
        lines.append(
            f"{words} (n = {test['n'].item()}, p = {test['p'].item():.1e}):\n"
            f"    {', '.join(parts)}"
        )
    return "\n".join(lines)


def _dice_note(summary: pd.DataFrame, test: pd.Series) -> str:
    parts = [f"{r.tool} {r.mean:.4f}" for r in summary.itertuples(index=False)]
    return (
        f"Mean over all cells: {', '.join(parts)}. "
        f"Paired t-test on {test['n']} subjects: t = {test['t']:.1f}, "
        f"p = {test['p']:.1e}."
    )


def _subject_ranks(axes: Axes, subjects: pd.DataFrame, tools: list[str]) -> None:
    for tool, color in zip(tools, style.SERIES, strict=False):
        mine = subjects[subjects["tool"] == tool].sort_values("mean", kind="stable")
        x = np.arange(1, len(mine) + 1)
        axes.vlines(x, mine["min"], mine["max"], color=color, alpha=0.3, linewidth=2)
        axes.scatter(x, mine["mean"], s=18, color=color, zorder=3, label=tool)
    axes.set_xlabel("subjects, each tool sorted by its mean")
    axes.set_ylabel("min Dice over all pairs")
    axes.set_title("Mean over regions; line: worst to best region")
    axes.grid(axis="y")
    axes.legend(loc="lower right")


def _region_scatter(axes: Axes, regions: pd.DataFrame, tools: list[str]) -> None:
    wide = regions.pivot(index="region", columns="tool", values="mean")
    x, y = wide[tools[0]], wide[tools[1]]
    axes.scatter(x, y, s=24, color=style.GREEN, alpha=0.8, linewidths=0)
    axes.set_xlabel(f"{tools[0]}, mean min Dice of a region")
    axes.set_ylabel(f"{tools[1]}, mean min Dice of a region")
    axes.grid()
    for region in wide.index[x.rank() <= 4]:
        axes.annotate(
            region.replace("-", " "),
            (x[region], y[region]),
            xytext=(6, -3),
            textcoords="offset points",
            size=8,
        )
