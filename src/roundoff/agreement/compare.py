"""Bits of the same outputs by two instruments, voxel by voxel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roundoff.images.stack import SampleStack

BITS = 24.0
"""Significand of float32; a voxel identical in all samples has at least as many."""


def bits_of(paths: Sequence[Path], mask: NDArray) -> tuple[NDArray, NDArray]:
    """Significant bits and standard deviation over samples, of the masked voxels.

    -log2(std / |mean|), at most 24; NaN where the mean is zero. `mask` (X, Y, Z).
    Returns two float64 arrays, one value per voxel of the mask (and component).
    """
    stack = SampleStack(paths)
    bits, spreads = [], []
    for part, samples in stack.slabs():
        inside = samples[:, mask[:, :, part]].astype(np.float64)
        spread = inside.std(axis=0, ddof=1).ravel()
        centre = np.abs(inside.mean(axis=0)).ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            value = -np.log2(spread / centre)
        value = np.where(centre > 0, np.clip(value, None, BITS), np.nan)
        bits.append(value)
        spreads.append(spread)
    return np.concatenate(bits), np.concatenate(spreads)


def pair(native: Sequence[Path], verrou: Sequence[Path], mask: NDArray) -> pd.DataFrame:
    """One row per voxel with a number by both: bits and spread of each, difference."""
    columns = {}
    for name, paths in (("native", native), ("verrou", verrou)):
        columns[name], columns[f"{name}_std"] = bits_of(paths, mask)
    table = pd.DataFrame(columns).dropna()
    return table.assign(difference=table["native"] - table["verrou"])


def summarise(voxels: pd.DataFrame, samples: int) -> dict[str, float]:
    """The row of one output: how many voxels, bits of each, their difference.

    `std_ratio`: median of Verrou's spread over the native one. `noise`: standard
    deviation of the difference that `samples` alone explain, were both one instrument.
    """
    difference = voxels["difference"]
    both = voxels[(voxels["native_std"] > 0) & (voxels["verrou_std"] > 0)]
    ratio = (both["verrou_std"] / both["native_std"]).median()
    low, median, high = difference.quantile([0.05, 0.5, 0.95])
    return {
        "voxels": len(voxels),
        "native": voxels["native"].mean(),
        "verrou": voxels["verrou"].mean(),
        "difference": difference.mean(),
        "median": median,
        "p5": low,
        "p95": high,
        "noise": noise(samples),
        "std_ratio": ratio,
        "identical_native": (voxels["native_std"] == 0).mean(),
        "identical_verrou": (voxels["verrou_std"] == 0).mean(),
    }


def noise(samples: int) -> float:
    """Standard deviation, in bits, of the difference of two estimates from `samples`.

    The log of a standard deviation of n normal values has a standard error of about
    1 / sqrt(2 (n - 1)); two independent ones are subtracted.
    """
    return float(np.sqrt(2) / np.log(2) / np.sqrt(2 * (samples - 1)))
