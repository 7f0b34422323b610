"""Conforming: one grid, orientation and intensity range for every head.

The recipe is FastSurfer's (Henschel et al. 2020, doi 10.1016/j.neuroimage.2020.117012)
for its own 1 mm grid; on coarser grids the volume is smoothed first, so that voxels are
averaged and not skipped.
"""

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, ornt_transform
from scipy import ndimage

from roundoff.models.base import Grid

# Coarser than this, relative to the source voxel, and the source is smoothed first.
ANTIALIAS_FROM = 1.5


def conform(image: nib.spatialimages.SpatialImage, grid: Grid) -> nib.Nifti1Image:
    """Resample a scan onto a model's grid.

    Returns a NIfTI image of `grid.shape` and `grid.orientation` with the volume centre
    kept. dtype "uint8": robust scaling to 0-255, exact zeros staying zero; "float32":
    values as they are. Trilinear interpolation.
    """
    values = np.asarray(image.dataobj, dtype=np.float64)
    affine = target_affine(image, grid)
    scale = _robust_scale(values) if grid.dtype == "uint8" else None
    if np.asanyarray(image.dataobj).dtype == np.uint8:
        scale = (0.0, 1.0) if scale else None
    source_to_target = np.linalg.inv(image.affine) @ affine
    smooth = _antialias(values, np.linalg.norm(source_to_target[:3, :3], axis=1))
    resampled = ndimage.affine_transform(
        smooth,
        source_to_target[:3, :3],
        source_to_target[:3, 3],
        output_shape=grid.shape,
        order=1,
    )
    if scale is None:
        return _image(resampled.astype(np.float32), affine, image)
    lower, factor = scale
    scaled = np.rint(np.clip(factor * (resampled - lower), 0, 255)).astype(np.uint8)
    scaled[resampled == 0] = 0
    return _image(scaled, affine, image)


def target_affine(image: nib.spatialimages.SpatialImage, grid: Grid) -> np.ndarray:
    """Affine (4, 4) of the conformed grid, centred where the scan is centred."""
    canonical = axcodes2ornt(("R", "A", "S"))
    turn = ornt_transform(canonical, axcodes2ornt(tuple(grid.orientation)))
    directions = np.zeros((3, 3))
    for world, (voxel, sign) in enumerate(turn):
        directions[world, int(voxel)] = sign
    affine = np.eye(4)
    affine[:3, :3] = directions * grid.voxel_size
    centre = nib.affines.apply_affine(image.affine, np.array(image.shape[:3]) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(grid.shape) / 2)
    return affine


def _antialias(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    # scikit-image's rule for the width of the filter: (step - 1) / 2 source voxels.
    if step.max() <= ANTIALIAS_FROM:
        return values
    sigma = np.where(step > ANTIALIAS_FROM, (step - 1) / 2, 0.0)
    smooth = ndimage.gaussian_filter(values, sigma)
    # Smoothing must not smear noise into background that was exactly zero.
    smooth[values == 0] = 0
    return smooth


def _robust_scale(values: np.ndarray) -> tuple[float, float]:
    """Offset and factor that bring the bulk of the intensities to 0-255."""
    counts, edges = np.histogram(values, bins=1000)
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    nonzero = np.count_nonzero(np.abs(values) >= 1e-15)
    cut = values.size - int((1 - 0.999) * nonzero)
    above = np.flatnonzero(cumulative >= cut)
    upper = edges[max(above[0] - 2, 0)] if above.size else edges[-1]
    lower = edges[0]
    if upper <= lower:  # hardly any distinct intensities: leave them alone
        return float(lower), 1.0
    return float(lower), 255 / float(upper - lower)


def _image(values: np.ndarray, affine: np.ndarray, source) -> nib.Nifti1Image:
    conformed = nib.Nifti1Image(values, affine)
    conformed.header.set_xyzt_units("mm")
    conformed.set_sform(affine, code=1)
    conformed.set_qform(affine, code=1)
    return conformed
