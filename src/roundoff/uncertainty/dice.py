"""Dice coefficients between samples, per label, block by block.

Dice(A, B) = 2 |A and B| / (|A| + |B|). A label absent from both is NaN and dropped
from minima and means; present in one only it is 0.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roundoff.errors import RoundoffError
from roundoff.uncertainty.confidence import require_samples
from roundoff.uncertainty.labels import LabelCounts, check_labels, disagreement, grow

BACKGROUND = (0,)


def dice(overlap: NDArray, size_a: NDArray, size_b: NDArray) -> NDArray[np.float64]:
    """Dice from voxel counts; NaN where both sizes are zero."""
    total = np.asarray(size_a, np.float64) + size_b
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 2 * np.asarray(overlap) / total, np.nan)


class PairwiseDice:
    """Dice of all N(N-1)/2 pairs of samples, per label.

    Feed blocks with `add`; memory is (labels x pairs), not volumes. Only voxels where
    samples disagree are compared pair by pair: the others overlap in every pair.

    >>> pairs = PairwiseDice(samples=3)
    >>> pairs.add(np.array([[1, 1, 2], [1, 1, 2], [1, 2, 2]]))
    >>> pairs.minimum()["min_dice"].round(3).tolist()
    [0.667, 0.667]
    """

    def __init__(self, samples: int) -> None:
        require_samples(samples)
        self.pairs = list(combinations(range(samples), 2))
        self._sizes = LabelCounts(samples)
        self._agreed = np.zeros(0, np.int64)
        self._shared = np.zeros((0, len(self.pairs)), np.int64)

    def add(self, labels: NDArray) -> None:
        """Accumulate one block: integer labels (N, V) of the same V voxels."""
        self._sizes.add(labels)
        index = self._sizes.index
        self._agreed = grow(self._agreed, len(index))
        self._shared = grow(self._shared, len(index))
        differ = disagreement(labels)
        same = index.positions(labels[0, ~differ])
        self._agreed += np.bincount(same, minlength=len(index))
        where = index.positions(labels[:, differ])
        for k, (i, j) in enumerate(self.pairs):
            both = where[i, where[i] == where[j]]
            self._shared[:, k] += np.bincount(both, minlength=len(index))

    def table(
        self,
        drop: tuple[int, ...] = BACKGROUND,
        names: Mapping[int, str] | None = None,
    ) -> pd.DataFrame:
        """One row per label and pair: label, region, sample_a, sample_b, dice."""
        rows = self._sizes.order(drop)
        first, second = np.array(self.pairs).T
        sizes = self._sizes.counts[rows]
        overlap = self._agreed[rows, None] + self._shared[rows]
        values = dice(overlap, sizes[:, first], sizes[:, second])
        labels = self._sizes.index.values[rows].repeat(len(self.pairs))
        return pd.DataFrame(
            {
                "label": labels,
                "region": region_names(labels, names),
                "sample_a": np.tile(first, len(rows)),
                "sample_b": np.tile(second, len(rows)),
                "dice": values.ravel(),
            }
        )

    def minimum(
        self,
        drop: tuple[int, ...] = BACKGROUND,
        names: Mapping[int, str] | None = None,
    ) -> pd.DataFrame:
        """One row per label over all pairs: the table the papers call min Dice.

        Columns: label, region, min_dice, mean_dice, pairs (counted), absent_pairs
        (label in neither sample: dropped). Min Dice falls with N: compare equal N only.
        """
        table = self.table(drop, names)
        groups = table.groupby(["label", "region"], sort=True)["dice"]
        result = groups.agg(min_dice="min", mean_dice="mean", pairs="count")
        result["absent_pairs"] = groups.size() - result["pairs"]
        return result.reset_index()


class ReferenceDice:
    """Dice of each sample to one reference labelling (a majority vote, an IEEE run).

    Same conventions as `PairwiseDice`.
    """

    def __init__(self, samples: int) -> None:
        if samples < 1:
            raise RoundoffError("samples: none to compare with the reference labelling")
        self._sizes = LabelCounts(samples + 1)  # the reference is the last row
        self._shared = np.zeros((0, samples), np.int64)

    def add(self, labels: NDArray, reference: NDArray) -> None:
        """Accumulate one block: labels (N, V), reference (V,), integers."""
        check_labels(labels, self._shared.shape[1])
        both = np.concatenate([labels, reference[None].astype(labels.dtype)])
        self._sizes.add(both)
        index = self._sizes.index
        self._shared = grow(self._shared, len(index))
        where = index.positions(both)
        for sample, row in enumerate(where[:-1]):
            same = row[row == where[-1]]
            self._shared[:, sample] += np.bincount(same, minlength=len(index))

    def table(
        self,
        drop: tuple[int, ...] = BACKGROUND,
        names: Mapping[int, str] | None = None,
    ) -> pd.DataFrame:
        """One row per label and sample: label, region, sample, dice."""
        rows = self._sizes.order(drop)
        sizes = self._sizes.counts[rows]
        values = dice(self._shared[rows], sizes[:, :-1], sizes[:, -1:])
        samples = self._shared.shape[1]
        labels = self._sizes.index.values[rows].repeat(samples)
        return pd.DataFrame(
            {
                "label": labels,
                "region": region_names(labels, names),
                "sample": np.tile(np.arange(samples), len(rows)),
                "dice": values.ravel(),
            }
        )


def region_names(labels: NDArray, names: Mapping[int, str] | None) -> list[str]:
    """Names of labels; "label 17" where the mapping has none."""
    names = names or {}
    return [names.get(int(label), f"label {label}") for label in labels]
