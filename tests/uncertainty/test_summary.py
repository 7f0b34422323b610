"""Tables over masks, regions and subjects."""

import numpy as np
import pandas as pd
import pytest

from roundoff.errors import RoundoffError
from roundoff.uncertainty.comparisons import paired_test, rank_correlation
from roundoff.uncertainty.significant_bits import State, bits_of_slab, concatenate
from roundoff.uncertainty.summary import (
    BitsTally,
    bits_table,
    histogram,
    over_subjects,
)


@pytest.fixture
def slab():
    """120 voxels: 0-9 masked, 10-19 zero, 20-29 identical, 30-39 of 0 bits, noise."""
    rng = np.random.default_rng(0)
    width = np.repeat([2.0**-6, 2.0**-12], [60, 60])
    samples = (1 + width * rng.uniform(-1, 1, (8, 120))).astype(np.float32)
    samples[:, 10:20] = 0
    samples[:, 20:30] = 0.7
    samples[:, 30:40] = np.array([9, -7] * 4)[:, None]
    samples[0, 40] = np.nan
    mask = np.arange(120) >= 10
    return bits_of_slab(samples, mask)


def test_counts_and_means_of_the_whole_mask(slab):
    row = bits_table(slab).set_index("estimator").loc["general"]
    assert (row["label"], row["region"]) == (-1, "all")
    counts = row[["voxels", "masked", "undefined", "identical", "too_few", "measured"]]
    assert counts.tolist() == [110, 10, 10, 10, 1, 89]
    numbered = slab.general[slab.state >= State.MEASURED]
    assert row["mean"] == pytest.approx(numbered.mean())
    assert row["sd"] == pytest.approx(numbered.std(ddof=1), rel=1e-6)
    assert row["mean_measured"] < row["mean"]
    assert (row["min"], row["max"]) == (0, 23)


def test_paper_mode_drops_voxels_of_zero_bits(slab):
    row = bits_table(slab).set_index("estimator").loc["general"]
    assert row["paper_voxels"] == 89  # 99 numbered, ten of them at 0 bits
    assert row["paper_mean"] == pytest.approx(row["mean"] * 99 / 89)


def test_regions_have_their_own_rows(slab):
    regions = np.repeat([0, 3, 4], [10, 50, 60]).astype(np.int16)
    table = bits_table(slab, regions, {3: "Thalamus"})
    general = table[table["estimator"] == "general"].set_index("region")
    assert general.index.tolist() == ["all", "Thalamus", "label 4"]
    assert general.loc["Thalamus", "voxels"] == 50
    assert general.loc["label 4", "min"] >= 11
    assert general.loc["label 4", "mean"] == pytest.approx(slab.general[60:].mean())
    assert general["measured"].tolist() == [89, 29, 60]


def test_masked_voxels_enter_no_region(slab):
    regions = np.full(120, 3)
    row = bits_table(slab, regions).iloc[2]
    assert row["voxels"] == 110
    assert row["masked"] == 0


def test_nothing_measured_is_nan_not_zero():
    table = bits_table(bits_of_slab(np.zeros((3, 5), np.float32)))
    assert table[["mean", "sd", "p50", "paper_mean"]].isna().all(axis=None)
    assert table["undefined"].tolist() == [5, 5]


def test_shape_of_regions_is_checked(slab):
    with pytest.raises(RoundoffError, match="regions: shape"):
        bits_table(slab, np.zeros(3, int))


def test_histogram_counts_every_numbered_voxel(slab):
    for estimator in ("general", "cnh"):
        table = histogram(slab, estimator)
        assert table["measured"].sum() == 89
        assert table["identical"].sum() == 10
        assert table["share"].sum() == pytest.approx(1)
    assert histogram(slab).set_index("bits").loc[23, "identical"] == 10


@pytest.mark.parametrize("estimator", ["general", "cnh"])
def test_tally_in_blocks_matches_the_table(slab, estimator):
    tally = BitsTally(estimator)
    tally.add(slab)
    tally.add(slab)
    row, twice = tally.row(), bits_table(concatenate([slab, slab]))
    expected = twice.set_index("estimator").loc[estimator]
    for name in ("masked", "undefined", "too_few", "measured", "identical"):
        assert row[name] == expected[name]
    for name in ("mean", "sd", "min", "max"):
        assert row[name] == pytest.approx(expected[name], rel=1e-5)
    for name in ("p5", "p25", "p50", "p75", "p95"):
        assert row[name] == pytest.approx(expected[name], abs=BitsTally.STEP)


def test_empty_tally_is_nan():
    assert np.isnan(BitsTally().row()["p50"])
    with pytest.raises(RoundoffError, match="estimator"):
        BitsTally("parker")


def test_over_subjects_uses_ddof_1_and_skips_missing():
    table = pd.DataFrame(
        {"tool": list("aab"), "subject": list("xyx"), "bits": [1.0, 3.0, np.nan]}
    )
    result = over_subjects(table, "bits", ["tool"]).set_index("tool")
    assert result.loc["a"].tolist() == [2, 2, pytest.approx(2**0.5), 1, 3, 2]
    assert result.loc["b", "n"] == 0
    assert over_subjects(table, "bits").iloc[0].tolist()[:2] == [2, 2]
    with pytest.raises(RoundoffError, match="no column 'dice'"):
        over_subjects(table, "dice")


def test_paired_test_joins_by_subject_not_by_order():
    first = pd.Series([1.0, 2.0, 4.0], ["a", "b", "c"], name="first")
    second = pd.Series([4.5, 1.2, 2.1], ["c", "a", "b"], name="second")
    test = paired_test(first, second)
    assert test.n == 3
    assert test.mean_difference == pytest.approx(-0.8 / 3)
    assert rank_correlation(first, second) == pytest.approx(1)


@pytest.mark.parametrize(
    ("index", "message"), [(["a", "z"], "different rows"), (["a", "a"], "twice")]
)
def test_paired_test_refuses_unpaired_subjects(index, message):
    first = pd.Series([1.0, 2.0], ["a", "b"], name="first")
    with pytest.raises(RoundoffError, match=message):
        paired_test(first, pd.Series([1.0, 2.0], index, name="second"))
