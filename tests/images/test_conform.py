"""The conformed grid, and the intensities on it."""

import nibabel as nib
import numpy as np
import pytest

from roundoff.images.conform import conform, target_affine
from roundoff.images.mask import head_mask
from roundoff.models.base import Grid

GRID = Grid(voxel_size=1.0, shape=(32, 32, 32))


def image(values, affine=None):
    return nib.Nifti1Image(values, np.eye(4) if affine is None else affine)


def test_orientation_and_centre_are_kept():
    rng = np.random.default_rng(0)
    affine = np.array([[0, -1.5, 0, 9], [0.9, 0, 0, -7], [0, 0, 1.1, 3], [0, 0, 0, 1]])
    scan = image(rng.random((20, 22, 26)).astype(np.float32), affine)
    target = target_affine(scan, Grid(2.0, (16, 18, 20), "LIA"))
    assert nib.aff2axcodes(target) == ("L", "I", "A")
    assert nib.affines.voxel_sizes(target) == pytest.approx([2, 2, 2])
    centre = nib.affines.apply_affine(scan.affine, np.array(scan.shape) / 2)
    assert nib.affines.apply_affine(target, [8, 9, 10]) == pytest.approx(centre)


def test_a_landmark_stays_where_it_is_in_the_world():
    values = np.zeros((32, 32, 32), np.float32)
    values[20, 9, 25] = 100
    conformed = conform(image(values), Grid(1.0, (32, 32, 32), "LIA", "float32"))
    peak = np.unravel_index(np.asarray(conformed.dataobj).argmax(), (32, 32, 32))
    world = nib.affines.apply_affine(conformed.affine, peak)
    assert world == pytest.approx([20, 9, 25])


def test_uint8_on_its_own_grid_is_untouched():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (32, 32, 32)).astype(np.uint8)
    affine = target_affine(image(values), GRID)
    again = conform(image(values, affine), GRID)
    assert np.array_equal(np.asarray(again.dataobj), values)
    assert np.allclose(again.affine, affine)


def test_robust_scaling_follows_the_recipe():
    rng = np.random.default_rng(2)
    values = np.where(rng.random((32, 32, 32)) < 0.5, 0, rng.gamma(4, 100, (32,) * 3))
    values[0, 0, 0] = 1e5  # one outlier must not squeeze the rest
    affine = target_affine(image(values), GRID)
    scaled = np.asarray(conform(image(values, affine), GRID).dataobj)
    counts, edges = np.histogram(values, bins=1000)
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    cut = values.size - int((1 - 0.999) * np.count_nonzero(values))
    upper = edges[np.flatnonzero(cumulative >= cut)[0] - 2]
    expected = np.rint(np.clip(values * 255 / upper, 0, 255)).astype(np.uint8)
    assert scaled.dtype == np.uint8
    assert np.array_equal(scaled, expected)


def test_zero_background_stays_zero_on_a_coarser_grid(write_phantom):
    scan = nib.load(write_phantom(voxel=1.0))
    coarse = np.asarray(conform(scan, Grid(2.0, (24, 24, 24))).dataobj)
    assert (coarse == 0).mean() > 0.3
    assert 0.15 < head_mask(coarse).mean() < 0.4


def test_real_head_fills_the_grid(shared_data):
    scan = nib.load(shared_data / "t1" / "colin27_T1w.nii.gz")
    conformed = conform(scan, Grid(2.0, (128, 128, 128)))
    litres = head_mask(np.asarray(conformed.dataobj)).sum() * 8e-6
    assert 3.0 < litres < 5.0
