"""Volumes of labels over samples, and how many of their digits are real."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from roundoff.errors import RoundoffError
from roundoff.uncertainty.confidence import require_samples
from roundoff.uncertainty.dice import BACKGROUND, region_names
from roundoff.uncertainty.labels import LabelCounts

PARKER_LIMIT = 23  # float32 mantissa, as in the maps


def parker_bits(
    mean: ArrayLike, sd: ArrayLike, limit: float = PARKER_LIMIT
) -> NDArray[np.float64]:
    """Parker's s = -log2 |sd / mean|, kept within 0 and `limit`.

    sd = 0 gives `limit` (read "at least"), mean = 0 with a spread gives 0, both zero
    NaN (Parker 1997).
    """
    mean, sd = np.abs(np.asarray(mean, float)), np.asarray(sd, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.clip(-np.log2(sd / mean), 0, limit)
    bits = np.where((mean == 0) & (sd > 0), 0.0, bits)
    return np.where((mean == 0) & (sd == 0), np.nan, bits)


class Volumes:
    """Volumes per label and sample, fed block by block.

    `voxel_volume`: mm^3 of one voxel (product of the voxel sizes).
    """

    def __init__(self, samples: int, voxel_volume: float) -> None:
        require_samples(samples)
        if not voxel_volume > 0:
            raise RoundoffError(
                f"voxel_volume: {voxel_volume} mm^3, must be positive; "
                "take the product of the voxel sizes"
            )
        self.voxel_volume = float(voxel_volume)
        self._counts = LabelCounts(samples)

    def add(self, labels: NDArray) -> None:
        """Count one block of labels (N, V)."""
        self._counts.add(labels)

    def samples(
        self,
        drop: tuple[int, ...] = BACKGROUND,
        names: Mapping[int, str] | None = None,
    ) -> pd.DataFrame:
        """One row per label and sample.

        Columns: label, region, sample, volume_mm3, deviation_percent (from the mean
        over samples).
        """
        rows = self._counts.order(drop)
        volume = self._counts.counts[rows] * self.voxel_volume
        deviation = 100 * (volume / volume.mean(axis=1, keepdims=True) - 1)
        labels = self._counts.index.values[rows].repeat(self._counts.samples)
        return pd.DataFrame(
            {
                "label": labels,
                "region": region_names(labels, names),
                "sample": np.tile(np.arange(self._counts.samples), len(rows)),
                "volume_mm3": volume.ravel(),
                "deviation_percent": deviation.ravel(),
            }
        )

    def table(
        self,
        drop: tuple[int, ...] = BACKGROUND,
        names: Mapping[int, str] | None = None,
    ) -> pd.DataFrame:
        """One row per label: label, region, mean, sd (ddof 1), min, max in mm^3.

        Also cv_percent, bits and digits (decimal) by Parker, and `identical`: the same
        volume in all samples, so bits and digits are lower bounds.
        """
        groups = self.samples(drop, names).groupby(["label", "region"], sort=True)
        table = groups["volume_mm3"].agg(["mean", "std", "min", "max"])
        table.columns = ["mean_mm3", "sd_mm3", "min_mm3", "max_mm3"]
        table["cv_percent"] = 100 * table["sd_mm3"] / table["mean_mm3"]
        table["bits"] = parker_bits(table["mean_mm3"], table["sd_mm3"])
        table["digits"] = table["bits"] * np.log10(2)
        table["identical"] = table["min_mm3"] == table["max_mm3"]
        return table.reset_index()
