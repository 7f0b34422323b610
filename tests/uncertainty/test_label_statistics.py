"""Dice, entropy, majority vote and volumes, against direct computation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy as scipy_entropy

from roundoff.errors import RoundoffError
from roundoff.uncertainty.dice import PairwiseDice, ReferenceDice
from roundoff.uncertainty.entropy import vote_of_slab
from roundoff.uncertainty.labels import LabelIndex, present_labels
from roundoff.uncertainty.volumes import Volumes, parker_bits

label_maps = st.tuples(st.integers(2, 6), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.int16, shape, elements=st.sampled_from([0, 2, 3, 17, 1035]))
)


def plain_dice(a, b, label):
    first, second = a == label, b == label
    total = first.sum() + second.sum()
    return np.nan if total == 0 else 2 * (first & second).sum() / total


@given(label_maps, st.integers(1, 7))
def test_pairwise_dice_in_blocks_is_the_plain_one(labels, step):
    pairs = PairwiseDice(len(labels))
    for start in range(0, labels.shape[1], step):
        pairs.add(labels[:, start : start + step])
    table = pairs.table(drop=())
    assert set(table["label"]) == set(labels.ravel())
    for row in table.itertuples():
        expected = plain_dice(labels[row.sample_a], labels[row.sample_b], row.label)
        np.testing.assert_equal(row.dice, expected)
    for row in pairs.minimum().itertuples():
        values = [plain_dice(a, b, row.label) for a, b in combinations(labels, 2)]
        assert row.min_dice == np.nanmin(values)
        assert row.mean_dice == pytest.approx(np.nanmean(values))
        assert row.absent_pairs == np.isnan(values).sum()
        assert row.pairs + row.absent_pairs == len(values)


def test_absent_label_is_dropped_and_a_lone_one_counts_zero():
    labels = np.array([[5, 1, 1], [1, 1, 1], [1, 1, 1]], np.uint8)
    pairs = PairwiseDice(3)
    pairs.add(labels)
    lone = pairs.minimum(names={1: "Thalamus"}).set_index("label")
    assert lone.loc[5, "min_dice"] == 0
    assert lone.loc[5, "absent_pairs"] == 1
    assert lone.loc[5, "region"] == "label 5"
    assert lone.loc[1, "region"] == "Thalamus"
    assert lone.loc[1, "min_dice"] == pytest.approx(0.8)


def test_background_alone_gives_empty_tables():
    labels = np.zeros((2, 4), np.uint8)
    pairs, volumes = PairwiseDice(2), Volumes(2, 1.0)
    pairs.add(labels)
    volumes.add(labels)
    assert pairs.minimum().empty
    assert volumes.table().empty


@given(label_maps)
def test_reference_dice_is_the_plain_one(labels):
    reference = labels[0]
    against = ReferenceDice(len(labels))
    against.add(labels[:, :3], reference[:3])
    against.add(labels[:, 3:], reference[3:])
    for row in against.table(drop=()).itertuples():
        expected = plain_dice(labels[row.sample], reference, row.label)
        np.testing.assert_equal(row.dice, expected)
        if row.sample == 0 and not np.isnan(row.dice):
            assert row.dice == 1


@given(label_maps)
def test_entropy_and_vote(labels):
    vote = vote_of_slab(labels)
    for voxel, column in enumerate(labels.T):
        values, counts = np.unique(column, return_counts=True)
        assert vote.entropy[voxel] == pytest.approx(scipy_entropy(counts), abs=1e-6)
        assert vote.majority[voxel] == values[counts.argmax()]  # smallest label on ties
        assert vote.agreement[voxel] == pytest.approx(counts.max() / len(labels))
    assert vote.majority.dtype == labels.dtype


@given(label_maps, st.randoms())
def test_vote_does_not_depend_on_the_order_of_samples(labels, random):
    order = list(range(len(labels)))
    random.shuffle(order)
    one, other = vote_of_slab(labels), vote_of_slab(labels[order])
    np.testing.assert_array_equal(one.majority, other.majority)
    np.testing.assert_array_equal(one.entropy, other.entropy)


def test_five_samples_have_seven_entropies():
    rows = ["00000", "00001", "00011", "00012", "00112", "00123", "01234"]
    labels = np.array([[int(c) for c in row] for row in rows], np.uint8).T
    got = np.sort(vote_of_slab(labels).entropy)
    expected = [0, 0.500, 0.673, 0.950, 1.055, 1.332, 1.609]
    np.testing.assert_allclose(got, expected, atol=5e-4)


def test_volumes_and_their_digits():
    labels = np.array([[1] * 100 + [2] * 10, [1] * 98 + [2] * 12], np.uint8)
    labels = np.concatenate([labels, np.full((2, 5), 7, np.uint8)], axis=1)
    volumes = Volumes(2, voxel_volume=8.0)
    volumes.add(labels[:, :50])
    volumes.add(labels[:, 50:])
    table = volumes.table(names={1: "one"}).set_index("label")
    assert table.loc[1, "mean_mm3"] == 792
    assert table.loc[1, "sd_mm3"] == pytest.approx(np.std([800, 784], ddof=1))
    assert table.loc[1, "cv_percent"] == pytest.approx(1.42850, abs=1e-4)
    assert table.loc[1, "bits"] == pytest.approx(-np.log2(0.0142850), abs=1e-3)
    assert table.loc[1, "digits"] == pytest.approx(1.845, abs=1e-3)
    assert table["identical"].tolist() == [False, False, True]
    assert table.loc[7, "bits"] == 23
    long = volumes.samples()
    assert long["volume_mm3"].tolist() == [800, 784, 80, 96, 40, 40]
    assert long["deviation_percent"].iloc[0] == pytest.approx(100 * (800 / 792 - 1))


def test_parker_at_its_edges():
    got = parker_bits([1, 0, 0, 4, 1], [0, 1, 0, 1, 8])
    np.testing.assert_array_equal(got, [23, 0, np.nan, 2, 0])


@given(st.lists(st.lists(st.integers(-3, 9), min_size=1, max_size=8), max_size=5))
def test_label_index_keeps_positions_whatever_comes_later(blocks):
    index = LabelIndex()
    for block in [*blocks, [70000, -3], [9, 70000]]:
        labels = np.array(block)
        where = index.positions(labels)
        np.testing.assert_array_equal(index.values[where], labels)
        np.testing.assert_array_equal(present_labels(labels), np.unique(labels))
    assert len(set(index.values)) == len(index)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PairwiseDice(1), "at least 2"),
        (lambda: PairwiseDice(2).add(np.zeros((2, 3))), "expected integers"),
        (lambda: PairwiseDice(3).add(np.zeros((2, 3), int)), "block holds 2 samples"),
        (lambda: vote_of_slab(np.zeros((1, 3), int)), "at least 2"),
        (lambda: Volumes(2, 0.0), "voxel_volume"),
        (lambda: ReferenceDice(0), "none to compare"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(RoundoffError, match=message):
        call()
