"""Paired comparisons of two tools or models over the same subjects."""

from dataclasses import dataclass

import pandas as pd
import scipy.stats

from roundoff.errors import RoundoffError


@dataclass(frozen=True)
class PairedTest:
    """Paired comparison of n subjects: Student's t and Wilcoxon's signed ranks."""

    n: int
    mean_difference: float
    t: float
    p: float
    wilcoxon_p: float


def paired_test(first: pd.Series, second: pd.Series) -> PairedTest:
    """Compare two series of one value per subject, joined by their index.

    Two-sided. Raises `RoundoffError` when the subjects differ or are fewer than two:
    a pair that is silently dropped changes the question.
    """
    _check_same(first, second)
    second = second.loc[first.index]
    student = scipy.stats.ttest_rel(first, second)
    ranks = scipy.stats.wilcoxon(first, second)
    return PairedTest(
        n=len(first),
        mean_difference=float((first - second).mean()),
        t=float(student.statistic),
        p=float(student.pvalue),
        wilcoxon_p=float(ranks.pvalue),
    )


def rank_correlation(first: pd.Series, second: pd.Series) -> float:
    """Spearman's rho of two series joined by their index (regions, subjects)."""
    _check_same(first, second)
    return float(scipy.stats.spearmanr(first, second.loc[first.index]).statistic)


def _check_same(first: pd.Series, second: pd.Series) -> None:
    for series in (first, second):
        if series.index.has_duplicates:
            twice = series.index[series.index.duplicated()][0]
            raise RoundoffError(f"{series.name}: {twice!r} occurs twice")
    odd = sorted(map(str, set(first.index) ^ set(second.index)))
    if odd:
        raise RoundoffError(
            f"{first.name} and {second.name} cover different rows: {odd[:5]} "
            "in one only; compare the ones both have"
        )
    if len(first) < 2:
        raise RoundoffError(f"{first.name}: {len(first)} pair, needs at least 2")
