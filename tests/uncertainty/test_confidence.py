"""N against p, normality, and the sentences built on them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import anderson

from roundoff.errors import RoundoffError
from roundoff.uncertainty.confidence import (
    samples_needed,
    statement,
    supported_probability,
)
from roundoff.uncertainty.normality import anderson_darling, not_normal
from roundoff.uncertainty.verdict import bits_verdict, control_verdict, dice_verdict

PUBLISHED = {3: 0.368, 5: 0.549, 6: 0.607, 10: 0.741, 16: 0.829, 20: 0.861, 30: 0.905}


def test_table_of_n_against_p():
    for n, p in {**PUBLISHED, 59: 0.950, 299: 0.990}.items():
        assert supported_probability(n) == pytest.approx(p, abs=6e-4)
    assert statement(10) == "N = 10 supports p >= 0.741 at 95 % confidence"
    assert samples_needed(0.95) == 59
    assert samples_needed(0.99) == 299


@given(st.floats(0.01, 0.995), st.floats(0.5, 0.999))
def test_samples_needed_inverts_the_supported_probability(p, confidence):
    n = samples_needed(p, confidence)
    if n >= 2:
        assert supported_probability(n, confidence) >= p - 1e-12
    if n >= 3:
        assert supported_probability(n - 1, confidence) < p + 1e-12


@pytest.mark.parametrize("n", [0, 1])
def test_one_sample_has_no_spread(n):
    with pytest.raises(RoundoffError, match="at least 2"):
        supported_probability(n)


@pytest.mark.parametrize("value", [0.0, 1.0, 1.5, float("nan")])
def test_refuses_impossible_confidence(value):
    with pytest.raises(RoundoffError, match="confidence"):
        statement(10, value)


def test_anderson_darling_is_that_of_scipy():
    samples = np.random.default_rng(0).gamma(3, size=(12, 4))
    expected = [
        anderson(column, method="interpolate").statistic * (1 + 0.75 / 12 + 2.25 / 144)
        for column in samples.T
    ]
    np.testing.assert_allclose(anderson_darling(samples), expected, rtol=1e-9)


def test_normality_is_rejected_at_its_level():
    rng = np.random.default_rng(1)
    assert not_normal(rng.normal(size=(10, 20000))).mean() == pytest.approx(
        0.05, abs=0.01
    )
    assert not_normal(rng.exponential(size=(20, 2000))).mean() > 0.6
    assert not not_normal(np.ones((10, 3))).any()
    assert not not_normal(rng.exponential(size=(7, 99))).any()  # too few to test


def test_dice_verdict_on_both_sides_of_the_threshold():
    table = pd.DataFrame(
        {"region": ["a", "b", "a", "b"], "min_dice": [0.999, 1.0, 0.995, np.nan]}
    )
    text = dice_verdict(table, 10)
    assert text.startswith("Dice >= 0.99 in every region with p >= 0.741")
    assert "45 pairs of N = 10" in text
    table.loc[2, "min_dice"] = 0.9123
    text = dice_verdict(table, 5)
    assert text.startswith("Dice < 0.99 in 1 of 2 regions (10 pairs of N = 5")
    assert text.endswith("the lowest is 0.9123 in a.")
    assert "no Dice" in dice_verdict(table.iloc[3:], 5)


def test_bits_verdict():
    row = {"mean": 18.04, "p5": 14.0, "identical": 5, "measured": 95}
    text = bits_verdict(pd.Series(row, dtype=object), 10)
    assert text.startswith("18.0 significant bits on average (5.4 decimal digits)")
    assert "95 % of the voxels keep 14 or more, with p >= 0.741" in text
    assert text.endswith("; 5 of 100 are identical in all samples.")
    floats = pd.Series({**row, "p5": 18.87, "identical": 0})
    assert "keep 18.8 or more" in bits_verdict(floats, 10)
    assert bits_verdict(floats, 10).endswith("confidence).")
    assert "No voxel" in bits_verdict(pd.Series({**row, "p5": np.nan}), 10)


def test_control_verdict():
    still = pd.DataFrame({"measured": [0, 0]})
    assert "bit-identical" in control_verdict(still, None)
    assert "varies (3 voxels" in control_verdict(pd.DataFrame({"measured": [3]}), None)
    low = pd.DataFrame({"min_dice": [0.5]})
    assert "lowest Dice 0.500000" in control_verdict(still, low)
