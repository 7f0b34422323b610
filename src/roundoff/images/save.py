"""Saving volumes as other tools expect them, atomically and with the same bytes."""

from pathlib import Path

import nibabel as nib
import numpy as np

from roundoff.atomic import atomic_path, write_json
from roundoff.errors import RoundoffError


def save_scan(path: str | Path, image: nib.Nifti1Image) -> None:
    """Save an image as it is."""
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def save_map(
    path: str | Path,
    values: np.ndarray,
    affine: np.ndarray,
    window: tuple[float, float] | None = None,
) -> None:
    """Save a float32 map; undefined voxels stay NaN. `window` sets cal_min, cal_max."""
    image = nib.Nifti1Image(np.asarray(values, np.float32), affine)
    image.header.set_xyzt_units("mm")
    if window:
        image.header["cal_min"], image.header["cal_max"] = window
    save_scan(path, image)


def save_labels(path: str | Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Save a label map as the smallest unsigned type of uint8, uint16 and int32."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise RoundoffError(f"{path}: labels must be integers, not {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    dtype = np.uint8 if high < 256 else np.uint16 if high < 65536 else np.int32
    if low < 0:
        dtype = np.int32
    image = nib.Nifti1Image(labels.astype(dtype), affine)
    image.header.set_xyzt_units("mm")
    save_scan(path, image)


def sidecar_of(path: str | Path) -> Path:
    """Path of the JSON sidecar of a NIfTI file."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def save_sidecar(path: str | Path, content: dict) -> None:
    """Write the JSON sidecar of the NIfTI file at `path`."""
    write_json(sidecar_of(path), content)
