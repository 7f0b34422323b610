"""Displacement fields as files that ITK, ANTs and nitransforms read.

Convention: NIfTI of shape (X, Y, Z, 1, 3) on the fixed image's grid, intent code
1007 (vector). At each voxel of the fixed image, world position + vector = world
position in the moving image, in mm, in ITK's axes (left, posterior, superior); the
first two components have the opposite sign of NIfTI's own world axes.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError

INTENT_VECTOR = 1007
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def save_warp(
    path: str | Path,
    field: np.ndarray,
    fixed_affine: np.ndarray,
    moving_affine: np.ndarray | None = None,
) -> None:
    """Write a voxel displacement field (X, Y, Z, 3) in the convention above.

    `field` is u in moved(x) = moving(x + u(x)), voxels. The affines (4, 4) bring
    voxels of each image to world mm; the moving image's is the fixed one's when
    both share a grid. Written atomically, float32.
    """
    if field.ndim != 4 or field.shape[3] != 3:
        raise RoundoffError(
            f"warp: shape {field.shape}, expected (X, Y, Z, 3): one vector per voxel"
        )
    moving_affine = fixed_affine if moving_affine is None else moving_affine
    voxels = np.moveaxis(np.indices(field.shape[:3], dtype=np.float64), 0, -1)
    to = nib.affines.apply_affine(moving_affine, voxels + field)
    vectors = (to - nib.affines.apply_affine(fixed_affine, voxels)) * RAS_TO_LPS
    image = nib.Nifti1Image(vectors[:, :, :, None, :].astype(np.float32), fixed_affine)
    image.header.set_intent(INTENT_VECTOR, name="displacement")
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def load_warp(
    path: str | Path, moving_affine: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read such a file: voxel displacements (X, Y, Z, 3) and the fixed affine.

    `moving_affine` as in `save_warp`. Raises RoundoffError for another kind of file.
    """
    image = nib.load(path)
    if image.ndim != 5 or image.shape[3:] != (1, 3):
        raise RoundoffError(
            f"{path}: shape {image.shape}; a displacement field has (X, Y, Z, 1, 3)"
        )
    affine = image.affine
    moving_affine = affine if moving_affine is None else moving_affine
    vectors = np.asarray(image.dataobj, np.float64)[:, :, :, 0] * RAS_TO_LPS
    voxels = np.moveaxis(np.indices(image.shape[:3], dtype=np.float64), 0, -1)
    world = nib.affines.apply_affine(affine, voxels) + vectors
    field = nib.affines.apply_affine(np.linalg.inv(moving_affine), world) - voxels
    return field.astype(np.float32), affine
