"""Shared counting of labels over samples, block by block."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from roundoff.errors import RoundoffError


def _is_small(labels: NDArray) -> bool:
    return bool(labels.size == 0 or (labels.min() >= 0 and labels.max() < 2**16))


def present_labels(labels: NDArray) -> NDArray[np.int64]:
    """Sorted label values that occur (small values are counted, not sorted)."""
    if _is_small(labels):
        return np.flatnonzero(np.bincount(labels.ravel()))
    return np.unique(labels).astype(np.int64)


class LabelIndex:
    """Positions of label values in growing tables: labels are found, never assumed."""

    def __init__(self) -> None:
        self.values = np.empty(0, np.int64)  # in order of appearance

    def __len__(self) -> int:
        return self.values.size

    def positions(self, labels: NDArray) -> NDArray[np.intp]:
        """Position of each label, new labels appended; same shape as `labels`."""
        new = np.setdiff1d(present_labels(labels), self.values)
        self.values = np.concatenate([self.values, new.astype(np.int64)])
        if _is_small(labels) and labels.size:
            table = np.zeros(int(labels.max()) + 1, np.intp)
            small = (self.values >= 0) & (self.values < table.size)
            # Negative labels of earlier blocks must not wrap around the table.
            table[self.values[small]] = np.flatnonzero(small)
            return table[labels]
        order = np.argsort(self.values)
        return order[np.searchsorted(self.values, labels, sorter=order)]


def grow(table: NDArray, rows: int) -> NDArray:
    """Return `table` with zero rows appended up to `rows`."""
    missing = rows - table.shape[0]
    if missing <= 0:
        return table
    pad = np.zeros((missing, *table.shape[1:]), table.dtype)
    return np.concatenate([table, pad])


def check_labels(labels: NDArray, samples: int | None = None) -> None:
    """Refuse anything but an integer block (N, V), N >= 1 and equal to `samples`."""
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise RoundoffError(
            f"labels: {labels.dtype} of shape {labels.shape}, "
            "expected integers of shape (N samples, V voxels)"
        )
    if samples is not None and len(labels) != samples:
        raise RoundoffError(
            f"labels: block holds {len(labels)} samples, earlier ones {samples}; "
            "every block must hold all samples"
        )


def disagreement(labels: NDArray) -> NDArray[np.bool_]:
    """Voxels where not all samples carry the same label, (N, V) -> (V,)."""
    return (labels != labels[0]).any(axis=0)


class LabelCounts:
    """Voxels per label and sample, accumulated over blocks.

    `add(labels)`: integers (N, V). `table()`: {label: counts (N,)} sorted by label.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.index = LabelIndex()
        self.counts = np.zeros((0, samples), np.int64)

    def add(self, labels: NDArray) -> None:
        """Count one block (N, V)."""
        check_labels(labels, self.samples)
        where = self.index.positions(labels)
        size = len(self.index)
        self.counts = grow(self.counts, size)
        for sample in range(self.samples):
            self.counts[:, sample] += np.bincount(where[sample], minlength=size)

    def order(self, drop: Iterable[int] = ()) -> NDArray[np.intp]:
        """Rows of `counts` in ascending order of label, without those in `drop`."""
        rows = np.argsort(self.index.values)
        return rows[~np.isin(self.index.values[rows], list(drop))]
