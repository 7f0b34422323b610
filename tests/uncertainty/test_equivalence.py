"""Two one-sided tests: by hand, by property, and what N can show."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff.errors import RoundoffError
from roundoff.uncertainty.equivalence import equivalence, subjects_needed

values = st.lists(
    st.floats(-5, 5, allow_nan=False).map(lambda v: round(v, 3)), min_size=2, max_size=9
)


def test_by_hand():
    """d = 1, 2, 3: mean 2, standard error 1 / sqrt(3)."""
    got = equivalence([1, 2, 3], margin=4)
    error = 1 / np.sqrt(3)
    assert got.mean == 2
    assert got.p == pytest.approx(scipy.stats.t.sf((4 - 2) / error, 2))
    assert got.high - got.mean == pytest.approx(2.91998558 * error)
    assert got.least_margin == pytest.approx(2 + 2.91998558 * error)
    assert got.shown is (got.p < 0.05)


def test_agrees_with_two_scipy_tests():
    d = np.random.default_rng(3).normal(0.1, 0.4, 12)
    lower = scipy.stats.ttest_1samp(d, -0.5, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(d, 0.5, alternative="less").pvalue
    assert equivalence(d, 0.5).p == pytest.approx(max(lower, upper))


@settings(deadline=None)
@given(values, st.floats(0.01, 10))
def test_shown_exactly_when_the_interval_lies_within(differences, margin):
    got = equivalence(differences, margin)
    inside = -margin < got.low and got.high < margin
    near = min(abs(got.least_margin - margin), 1) < 1e-9 * (1 + margin)
    assert near or got.shown is inside
    assert near or got.shown is (got.least_margin < margin)
    turned = equivalence(-np.array(differences), margin)
    assert turned.p == pytest.approx(got.p, abs=1e-12)


def test_two_subjects_show_little():
    """An interval of 4.46 standard deviations to either side."""
    got = equivalence([-0.1, 0.1], margin=0.5)
    assert not got.shown
    assert (got.high - got.mean) / got.sd == pytest.approx(
        6.3138 / np.sqrt(2), rel=1e-4
    )
    assert equivalence([0.0, 0.0], margin=0.5).shown
    assert not equivalence([0.7, 0.7], margin=0.5).shown


@pytest.mark.parametrize("sd", [0.3, 1.0, 2.0])
def test_subjects_needed_reach_the_power(sd):
    """Simulated: about 80 % of studies of that size show equivalence."""
    n = subjects_needed(sd, 1.0)
    d = np.random.default_rng(1).normal(0, sd, (3000, n))
    half = scipy.stats.t.ppf(0.95, n - 1) * d.std(axis=1, ddof=1) / np.sqrt(n)
    shown = (np.abs(d.mean(axis=1)) + half < 1.0).mean()
    assert 0.77 < shown < 0.995
    assert n == 2 or _power(sd, n - 1) < 0.83


def _power(sd, n):
    d = np.random.default_rng(2).normal(0, sd, (3000, n))
    half = scipy.stats.t.ppf(0.95, n - 1) * d.std(axis=1, ddof=1) / np.sqrt(n)
    return (np.abs(d.mean(axis=1)) + half < 1.0).mean()


def test_needed_at_the_ends():
    assert subjects_needed(0.0, 1.0) == 2
    assert subjects_needed(100.0, 0.1) is None


@pytest.mark.parametrize(
    ("differences", "margin", "words"),
    [
        ([1.0], 1, "2 or more"),
        ([1.0, np.nan], 1, "NaN"),
        ([1.0, 2.0], 0, "margin"),
    ],
)
def test_bad_input(differences, margin, words):
    with pytest.raises(RoundoffError, match=words):
        equivalence(differences, margin)
