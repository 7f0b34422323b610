"""Figures and summary of the time trials, from their tables."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from roundoff.atomic import write_text
from roundoff.figures import nan_trials as figures
from roundoff.nan_trials.files import JOBS
from roundoff.nan_trials.history import DIVISORS, PUBLISHED

CLOCKS = {"wall": "wall time", "cpu": "processor time"}


def draw(folder: Path) -> None:
    """Read the tables of all jobs in `folder`; write figures and summary there."""
    tables = {job: pd.read_csv(folder / f"{job}.tsv", sep="\t", na_values="n/a")
              for job in JOBS}  # fmt: skip
    series = [tables[name] for name in ("shares", "sizes", "channels", "volumes")]
    rows = pd.concat(series, ignore_index=True)
    where = _where(rows.iloc[0])
    _shares(folder, tables["shares"], where)
    _layers(folder, tables, where)
    note = f"{len(rows)} rows, {int((rows['vs_last'] < 1).sum())} slower than PyTorch"
    figures.every_row(folder / "rows.png", rows, "Every layer measured", [where, note])
    net = tables["network"]
    figures.network(
        folder / "network.png",
        net,
        "FastSurferVINN end to end",
        [
            f"untrained, {net['side'].iloc[0]} x {net['side'].iloc[0]}, two thirds "
            "constant background; over the network folded, channels last",
            _where(net.iloc[0]),
        ],
    )
    _history(folder, tables["history"])
    write_text(folder / "summary.md", summary(tables, rows))


def _where(row: pd.Series) -> str:
    threads = int(row["threads"])
    return (
        f"{row['kernels']} kernels · {threads} thread{'s' * (threads > 1)} · "
        f"{CLOCKS[row['clock']]} · {row['machine']}"
    )


def _shares(folder: Path, rows: pd.DataFrame, where: str) -> None:
    layers = rows["layer"].unique()
    first = next((x for x in layers if " k3 " in x), layers[0])
    figures.shares(
        folder / "shares.png",
        rows[rows["layer"] == first],
        "NaN convolution against PyTorch's own, by share of NaN",
        [f"{first} · median of paired repetitions, planning and NaN writing included",
         where],
    )  # fmt: skip


def _layers(folder: Path, tables: Mapping[str, pd.DataFrame], where: str) -> None:
    def two_thirds(name: str) -> pd.DataFrame:
        rows = tables[name]
        near = (rows["nan_share"] - 2 / 3).abs() < 0.01
        return rows[near & (rows["mask"] == "brain") & (rows["dilation"] == 1)]

    sizes, channels, volumes = map(two_thirds, ("sizes", "channels", "volumes"))
    side = 128 if 128 in set(channels["side"]) else channels["side"].max()
    channels = channels[channels["side"] == side]
    panels = {
        f"planes, {sizes['channels'].iloc[0]} channels": ("side", sizes),
        f"planes of {side} x {side}": ("channels", channels),
        f"volumes of {volumes['side'].iloc[0]} cubed": ("channels", volumes),
    }
    figures.layers(
        folder / "layers.png",
        panels,
        "Where the NaN convolution is worth it",
        ["two thirds brain-shaped NaN · the kernels everywhere, also where the library "
         "would choose oneDNN", where],
    )  # fmt: skip


def _history(folder: Path, rows: pd.DataFrame) -> None:
    known = pd.DataFrame(
        [
            {"mask": mask, "nominal": 1 - 1 / d, "speed_up": value}
            for mask, values in PUBLISHED.items()
            for d, value in zip(DIVISORS, values, strict=True)
        ]
    )
    figures.history(
        folder / "history.png",
        rows,
        known,
        "The published comparison: a Python loop with NaN against the same without",
        ["2x2 kernel, T = 0.5; true sizes, one mask in all panels, one clock "
         f"({CLOCKS[rows['clock'].iloc[0]]}; PyTorch: wall time)",
         rows["machine"].iloc[0]],
    )  # fmt: skip


def summary(tables: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> str:
    """summary.md: where it pays, where it does not, and the published comparison."""
    two_thirds = (rows["nan_share"] - 2 / 3).abs() < 0.01
    brain = rows[two_thirds & (rows["mask"] == "brain")]
    lost = rows[rows["vs_last"] < 1].sort_values("vs_last")
    loop = tables["history"]
    slower = loop["nan_loop_ms"] / loop["torch_ms"]
    at = loop[loop["nominal"].between(0.6, 0.72)].groupby("mask")["speed_up"].median()
    return "\n".join(
        [
            "# NaN convolution against PyTorch's own",
            "",
            f"{_where(rows.iloc[0])}. Speed-up: median of paired repetitions, above 1 "
            "the NaN convolution is quicker; planning and writing NaN included. Dense "
            "PyTorch (oneDNN) runs without any NaN.",
            "",
            "## Two thirds brain-shaped NaN",
            "",
            *_table(brain),
            "## Rows that lose",
            "",
            f"{len(lost)} of {len(rows)} rows are slower than channels-last oneDNN. "
            f"In {int((lost['choice'] == 'oneDNN').sum())} of them the library would "
            "have left the layer to oneDNN.",
            "",
            *_table(lost),
            "## The published comparison",
            "",
            "A pure-Python loop against itself: at two thirds NaN "
            + ", ".join(f"{value:.2f}x with {mask} NaN" for mask, value in at.items())
            + " (published: 1.70x random, 1.33x structured, headline 1.67x). PyTorch's "
            f"own convolution of the same input is {slower.min():,.0f} to "
            f"{slower.max():,.0f} times quicker than the loop with NaN, so these "
            "ratios say nothing about time saved. Labels of sizes are the true ones "
            "here; in the published figure four of them are not.",
            "",
        ]
    )


def _table(rows: pd.DataFrame) -> list[str]:
    header = ["layer", "mask", "NaN", "skipped", "ideal", "over channels last"]
    header += ["over default", "bands over last", "library's choice"]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for r in rows.itertuples():
        bands = f"{r.bands_vs_last:.2f}" if pd.notna(r.bands_vs_last) else ""
        lines.append(
            f"| {r.layer} | {r.mask} | {r.nan_share:.2f} | {r.skipped:.2f} | "
            f"{r.ideal:.2f} | {r.vs_last:.2f} | {r.vs_default:.2f} | {bands} | "
            f"{r.choice} |"
        )
    return [*lines, ""]
