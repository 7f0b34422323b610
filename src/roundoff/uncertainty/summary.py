"""Tables of bits over masks, regions and subjects."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roundoff.errors import RoundoffError
from roundoff.uncertainty.dice import BACKGROUND, region_names
from roundoff.uncertainty.significant_bits import SlabBits, State

PERCENTILES = (5, 25, 50, 75, 95)
WHOLE = "all"
ESTIMATORS = ("general", "cnh")


def bits_table(
    bits: SlabBits,
    regions: NDArray | None = None,
    names: Mapping[int, str] | None = None,
    drop: tuple[int, ...] = BACKGROUND,
) -> pd.DataFrame:
    """Bits over the whole mask (region "all") and per region, both estimators.

    `regions`: integer (V,), usually the majority vote; labels in `drop` get no row.
    One row per region and estimator, with the columns

    * label (-1 for "all"), region, estimator;
    * voxels (in the mask), measured, identical, undefined, too_few, masked;
    * mean, sd (ddof 1), min, p5 .. p95, max over measured and identical voxels, the
      latter at their lower bound (so the mean is "at least" when identical > 0);
    * mean_measured, over measured voxels alone;
    * paper_mean, paper_voxels: over map != 0, the rule of arXiv 2308.01939. It also
      drops voxels that truly have 0 bits: print it beside, never instead;
    * not_normal_share of the measured voxels (for CNH; about 0.05 if normal).
    """
    rows = [{"label": -1, "region": WHOLE, **r} for r in _rows(bits, slice(None))]
    if regions is not None:
        if regions.shape != bits.state.shape:
            raise RoundoffError(
                f"regions: shape {regions.shape}, expected {bits.state.shape}, "
                "one label per voxel of the bits"
            )
        for label, where in _groups(regions, bits.state != State.MASKED, drop):
            name = region_names(np.array([label]), names)[0]
            rows += [
                {"label": int(label), "region": name, **r} for r in _rows(bits, where)
            ]
    return pd.DataFrame(rows)


def histogram(
    bits: SlabBits, estimator: str = "general", cap: int = 23
) -> pd.DataFrame:
    """Voxels per whole bit: columns bits (0..cap), measured, identical, share.

    CNH values are floored. `share` of all voxels that carry a number. The input of the
    distribution figures.
    """
    values = getattr(bits, estimator)
    columns = {"bits": np.arange(cap + 1)}
    for name, state in (("measured", State.MEASURED), ("identical", State.IDENTICAL)):
        chosen = np.floor(values[bits.state == state]).astype(int)
        columns[name] = np.bincount(chosen, minlength=cap + 1)[: cap + 1]
    table = pd.DataFrame(columns)
    total = table["measured"].sum() + table["identical"].sum()
    table["share"] = (table["measured"] + table["identical"]) / max(total, 1)
    return table


class BitsTally:
    """Scalar summary of bits, block by block, without keeping a map.

    Counts, mean, sd, min and max are exact; percentiles are read from a histogram with
    steps of 1/64 bit (exact for General, whose values are whole bits).
    """

    STEP = 1 / 64

    def __init__(self, estimator: str = "general", cap: int = 23) -> None:
        if estimator not in ESTIMATORS:
            raise RoundoffError(f"estimator: {estimator!r}, known are {ESTIMATORS}")
        self.estimator = estimator
        self.counts = dict.fromkeys(State, 0)
        self._bins = np.zeros(round(cap / self.STEP) + 1, np.int64)
        self._sum = self._squares = 0.0
        self._low, self._high = np.inf, -np.inf

    def add(self, bits: SlabBits) -> None:
        """Accumulate one block."""
        for state in State:
            self.counts[state] += int((bits.state == state).sum())
        values = getattr(bits, self.estimator)[bits.state >= State.MEASURED]
        if not values.size:
            return
        values = values.astype(np.float64)
        where = np.floor(values / self.STEP).astype(int)
        self._bins += np.bincount(where, minlength=self._bins.size)
        self._sum += values.sum()
        self._squares += (values**2).sum()
        self._low = min(self._low, values.min())
        self._high = max(self._high, values.max())

    def row(self) -> dict[str, float]:
        """The counts and statistics so far; NaN statistics without numbered voxels."""
        counts = {s.name.lower(): n for s, n in self.counts.items()}
        n = self.counts[State.MEASURED] + self.counts[State.IDENTICAL]
        if n == 0:
            names = ("mean", "sd", "min", "max", *(f"p{q}" for q in PERCENTILES))
            return {**counts, **dict.fromkeys(names, np.nan)}
        mean = self._sum / n
        spread = max(self._squares - n * mean**2, 0.0)
        sd = np.sqrt(spread / (n - 1)) if n > 1 else np.nan
        below = np.cumsum(self._bins)
        ranks = {q: np.ceil(n * q / 100) for q in PERCENTILES}
        percentiles = {
            f"p{q}": float(np.searchsorted(below, rank) * self.STEP)
            for q, rank in ranks.items()
        }
        ends = {"min": self._low, "max": self._high}
        return {**counts, "mean": mean, "sd": sd, **ends, **percentiles}


def over_subjects(
    table: pd.DataFrame, value: str, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Aggregate one column over the rows (subjects) of each group.

    Columns: those of `by`, then n, mean, sd (ddof 1), min, max, range (max - min).
    Missing values are dropped and not counted in n. The same function serves our own
    tables and the published ones.
    """
    for column in (value, *by):
        if column not in table:
            raise RoundoffError(
                f"table: no column {column!r}; it has {', '.join(map(str, table))}"
            )
    keys = list(by) if by else np.zeros(len(table), int)
    grouped = table.groupby(keys, sort=False)[value]
    result = grouped.agg(n="count", mean="mean", sd="std", min="min", max="max")
    result["range"] = result["max"] - result["min"]
    return result.reset_index(drop=not by)


def _rows(bits: SlabBits, where: slice | NDArray) -> Iterator[dict[str, float]]:
    state = bits.state[where]
    counts = {s.name.lower(): int((state == s).sum()) for s in State}
    voxels = state.size - counts["masked"]
    numbered, measured = state >= State.MEASURED, state == State.MEASURED
    odd = bits.not_normal[where][measured]
    for estimator in ESTIMATORS:
        values = getattr(bits, estimator)[where].astype(np.float64)
        paper = values[numbered & (values != 0)]
        yield {
            "estimator": estimator,
            "voxels": voxels,
            **counts,
            **_statistics(values[numbered]),
            "mean_measured": _mean(values[measured]),
            "paper_mean": _mean(paper),
            "paper_voxels": paper.size,
            "not_normal_share": _mean(odd),
        }


def _statistics(values: NDArray[np.float64]) -> dict[str, float]:
    names = ["min", *(f"p{q}" for q in PERCENTILES), "max"]
    if not values.size:
        return dict.fromkeys(["mean", "sd", *names], np.nan)
    # Inverted CDF: a percentile is a value that occurs (General has whole bits only).
    cuts = np.percentile(values, [0, *PERCENTILES, 100], method="inverted_cdf")
    sd = values.std(ddof=1) if values.size > 1 else np.nan
    return {"mean": values.mean(), "sd": sd, **dict(zip(names, cuts, strict=True))}


def _mean(values: NDArray) -> float:
    return float(values.mean()) if values.size else np.nan


def _groups(
    regions: NDArray, inside: NDArray[np.bool_], drop: tuple[int, ...]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Voxel positions of each label, one sort for all labels."""
    positions = np.flatnonzero(inside & ~np.isin(regions, drop))
    order = positions[np.argsort(regions[positions], kind="stable")]
    labels, starts = np.unique(regions[order], return_index=True)
    yield from zip(labels, np.split(order, starts[1:]), strict=False)
