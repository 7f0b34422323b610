"""The agreement study in words: a table, or how to get what is missing."""

from collections.abc import Mapping

import pandas as pd

WITHIN = 0.3
"""Bits within which two instruments agree on average."""

HEAD = """\
# Native rounding against Verrou

"""
SKIPPED = """\
Skipped: this study needs Verrou, which is not here.

> {missing}

Then run `snakemake agreement` again.
"""
FOUND = """\
{samples} samples each of the same input, weights and slices; {mode} rounding. The \
native instrument adds in the order of the AVX2 kernels that run under Valgrind \
(`order: verrou`).

| network | part | subject | output | voxels | native | Verrou | difference | median | \
spread ratio | verdict |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

Bits are -log2(standard deviation / |mean|), averaged over the head; the difference is \
native minus Verrou. {samples} samples alone scatter it by {noise:.2f} bits per voxel \
(standard deviation), so single voxels differ and means do not. Spread ratio: median \
of Verrou's standard deviation over the native one.
"""


def summary(
    tables: pd.DataFrame, settings: Mapping[str, object], missing: str = ""
) -> str:
    """Text of summary.md: the rows of all comparisons, or why there are none."""
    if missing:
        return HEAD + SKIPPED.format(missing=missing)
    rows = "\n".join(_row(row) for _, row in tables.iterrows())
    noise = float(tables["noise"].iloc[0])
    return HEAD + FOUND.format(rows=rows, noise=noise, **settings)


def verdict(difference: float) -> str:
    """Whether a mean difference of bits counts as agreement."""
    agrees = abs(difference) <= WITHIN
    return f"agree within {WITHIN}" if agrees else f"differ by more than {WITHIN}"


def _row(row: Mapping) -> str:
    cells = [
        row["model"],
        row["part"] or "whole volume",
        f"sub-{row['subject']}",
        row["map"],
        f"{row['voxels']:,}".replace(",", " "),
        *(f"{row[k]:.2f}" for k in ("native", "verrou")),
        *(f"{row[k]:+.3f}" for k in ("difference", "median")),
        f"{row['std_ratio']:.3f}",
        verdict(row["difference"]),
    ]
    return f"| {' | '.join(cells)} |"
