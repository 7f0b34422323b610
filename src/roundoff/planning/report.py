"""The plan in words and numbers."""

from collections.abc import Sequence
from typing import Any

from roundoff.planning.costs import ValgrindCost, probability
from roundoff.uncertainty.confidence import samples_needed

TEMPLATE = """\
# What the study will cost

{subjects} subject(s), {samples} samples and {controls} controls each. Memory is per \
job.

| network | instrument | what is computed | one sample | study, 1 core | study, \
{cores} cores | memory | disk |
|---|---|---|---|---|---|---|---|
{rows}

**{samples} samples** that all agree support p >= {p:.3f} at {confidence:.0%} \
confidence. {needed} would support p >= 0.95.

The instrument of `config.yaml` is **{instrument}**. {verrou}
"""
DOCUMENTED = (
    "Verrou is not installed here, or could not be timed: its times come from the "
    "costs of docs/cost_planning.md and may be off by a factor of two."
)
MEASURED = (
    "Verrou was timed here: {ns:.0f} ns per perturbed operation of a convolution. Its "
    "times may still be off by half."
)


def plan_text(
    rows: Sequence[dict[str, Any]],
    cost: ValgrindCost,
    *,
    subjects: int,
    samples: int,
    controls: int,
    cores: int,
    confidence: float,
    instrument: str,
) -> str:
    """The text of summary.md."""
    verrou = MEASURED.format(ns=cost.operation * 1e9) if cost.measured else DOCUMENTED
    return TEMPLATE.format(
        subjects=subjects,
        samples=samples,
        controls=controls,
        cores=cores,
        rows="\n".join(_row(row, cores) for row in rows),
        p=probability(samples, confidence),
        confidence=confidence,
        needed=samples_needed(0.95, confidence),
        instrument=instrument,
        verrou=verrou,
    )


def duration(seconds: float) -> str:
    """A time a reader can plan with: "42 s", "8 min", "3.5 h", "12 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def _row(row: dict[str, Any], cores: int) -> str:
    cells = [
        row["model"],
        row["instrument"],
        row["part"],
        duration(row["sample_s"]),
        duration(row["hours"] * 3600),
        duration(row["hours"] * 3600 / cores),
        f"{row['memory_gb']:.1f} GB",
        f"{row['disk_gb']:.2f} GB",
    ]
    return f"| {' | '.join(cells)} |"
