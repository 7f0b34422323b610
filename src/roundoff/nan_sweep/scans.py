"""The scan a network is given: whole or without its skull, with noise or without."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from roundoff.errors import RoundoffError

CLOSING = 2  # voxels: sulci and ventricle borders between labels belong to the brain


def brain_of(labels: NDArray) -> NDArray[np.bool_]:
    """The brain in a label map (X, Y, Z): all labels but 0, closed, the largest piece.

    Filled as well. Raises `RoundoffError` where no voxel has a label.
    """
    grown = np.pad(labels > 0, 2 * CLOSING)
    closed = ndimage.binary_closing(grown, iterations=CLOSING)
    inner = slice(2 * CLOSING, -2 * CLOSING)
    pieces, count = ndimage.label(closed[inner, inner, inner])
    if count == 0:
        raise RoundoffError("the brain model labelled no voxel of this scan")
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(largest)


def on_grid_of(mask: nib.Nifti1Image, image: nib.Nifti1Image) -> NDArray[np.bool_]:
    """A mask (0 and 1) on the voxels of another image, the nearest voxel's value."""
    values = np.asarray(mask.dataobj) > 0
    same = mask.shape == image.shape and np.allclose(mask.affine, image.affine)
    if same:
        return values
    there = np.linalg.inv(mask.affine) @ image.affine
    moved = ndimage.affine_transform(
        values.astype(np.uint8), there, output_shape=image.shape[:3], order=0
    )
    return moved > 0


def read_scan(
    image: Path, brain: Path, scan: str
) -> tuple[NDArray, NDArray[np.bool_], nib.Nifti1Image]:
    """The conformed scan, "whole" or "stripped" (0 outside the brain); the brain."""
    loaded = nib.load(image)
    volume = np.asarray(loaded.dataobj)
    inside = on_grid_of(nib.load(brain), loaded)
    if scan == "stripped":
        volume = np.where(inside, volume, 0).astype(volume.dtype)
    elif scan != "whole":
        raise RoundoffError(f"scan: {scan!r} is unknown; it is stripped or whole")
    return volume, inside, loaded


def add_noise(volume: NDArray, sd: float, seed: int) -> NDArray[np.float32]:
    """Gaussian noise on voxels above zero: a background of zeros stays one.

    `sd` on a scale on which the scan's range is 0 to 255. Values are kept in range.
    """
    low, high = float(volume.min()), float(volume.max())
    noise = np.random.default_rng(seed).normal(0, sd * (high - low) / 255, volume.shape)
    noisy = np.where(volume > 0, volume + noise, volume)
    return np.clip(noisy, low, high).astype(np.float32)
