"""Significant digits of captured block outputs, as maps and by zone of the slice."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roundoff.uncertainty.significant_bits import bits_of_slab

DIGITS_PER_BIT = np.log10(2)


def digit_maps(blocks: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Decimal digits per pixel of each block: mean over channels of the General bits.

    `blocks`: name to (N, C, H, W) float32. Returns name to float32 (H, W), NaN where
    no channel has a number (the relative error of an exact zero is undefined).
    """
    return {name: _digits(samples) for name, samples in blocks.items()}


def _digits(samples: NDArray) -> NDArray:
    n, channels, height, width = samples.shape
    bits = bits_of_slab(samples.reshape(n, -1)).general
    bits = bits.reshape(channels, height, width)
    known = np.isfinite(bits)
    total = np.where(known, bits, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = total / known.sum(axis=0)
    return (mean * DIGITS_PER_BIT).astype(np.float32)


def zones(image: NDArray, head: NDArray, brain: NDArray) -> dict[str, NDArray]:
    """Zones of a slice (H, W): constant background, brain, and the head around it.

    Constant background: zero in the image, and outside the head.
    """
    return {
        "constant background": (image == 0) & ~head,
        "head outside the brain": head & ~brain,
        "brain": brain,
    }


def zone_table(
    maps: Mapping[str, NDArray], masks: Mapping[str, NDArray]
) -> pd.DataFrame:
    """Digits per block and zone: block, zone, pixels, undefined, mean, p5, p50, p95.

    Zones (H, W) are brought to a block's size by taking every k-th pixel; a pixel of a
    coarse block counts to a zone when its whole patch lies in it.
    """
    rows = []
    for block, values in maps.items():
        for zone, mask in masks.items():
            inside = values[shrink(mask, values.shape)]
            known = inside[np.isfinite(inside)]
            row = {"block": block, "zone": zone, "pixels": inside.size}
            row["undefined"] = inside.size - known.size
            row["mean"] = known.mean() if known.size else np.nan
            for q in (5, 50, 95):
                row[f"p{q}"] = np.percentile(known, q) if known.size else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def shrink(mask: NDArray, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask on a coarser grid: true where the whole patch of pixels is true."""
    rows, columns = mask.shape[0] // shape[0], mask.shape[1] // shape[1]
    cut = mask[: rows * shape[0], : columns * shape[1]]
    return cut.reshape(shape[0], rows, shape[1], columns).all(axis=(1, 3))
