"""Displacement files mean what ITK's convention says."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from roundoff.errors import RoundoffError
from roundoff.models.synthmorph.warp_file import load_warp, save_warp

FIXED = np.array([[-2.0, 0, 0, 30], [0, 0, 1.5, -20], [0, -1.0, 0, 12], [0, 0, 0, 1]])
MOVING = np.array([[1.0, 0.1, 0, -9], [0, 0.9, 0, 4], [0.2, 0, 1.1, -3], [0, 0, 0, 1]])


@pytest.fixture
def field():
    return np.random.default_rng(0).normal(0, 2, (5, 6, 7, 3)).astype(np.float32)


def test_shape_intent_and_affine(tmp_path, field):
    save_warp(tmp_path / "warp.nii.gz", field, FIXED)
    image = nib.load(tmp_path / "warp.nii.gz")
    assert image.shape == (5, 6, 7, 1, 3)
    assert image.header["intent_code"] == 1007
    assert np.allclose(image.affine, FIXED)
    assert image.get_data_dtype() == np.float32


@pytest.mark.parametrize("moving", [None, MOVING])
def test_world_position_plus_vector_is_the_position_in_the_moving_image(
    tmp_path, field, moving
):
    save_warp(tmp_path / "warp.nii.gz", field, FIXED, moving)
    vectors = nib.load(tmp_path / "warp.nii.gz").get_fdata()[:, :, :, 0]
    voxel = np.array([3, 1, 4])
    world = FIXED @ [*voxel, 1]
    lps = np.array([-1, -1, 1]) * world[:3] + vectors[tuple(voxel)]
    ras = np.array([-1, -1, 1]) * lps
    affine = FIXED if moving is None else moving
    found = np.linalg.inv(affine) @ [*ras, 1]
    assert np.allclose(found[:3], voxel + field[tuple(voxel)], atol=1e-4)


def test_resampling_by_the_file_equals_resampling_by_the_field(tmp_path, field):
    image = np.random.default_rng(1).random((9, 8, 9))
    direct = np.moveaxis(np.indices((5, 6, 7)), 0, -1) + field
    expected = ndimage.map_coordinates(image, np.moveaxis(direct, -1, 0), order=1)
    save_warp(tmp_path / "warp.nii.gz", field, FIXED, MOVING)
    vectors = nib.load(tmp_path / "warp.nii.gz").get_fdata()[:, :, :, 0]
    voxels = np.moveaxis(np.indices((5, 6, 7)), 0, -1)
    world = nib.affines.apply_affine(FIXED, voxels) + vectors * [-1, -1, 1]
    places = nib.affines.apply_affine(np.linalg.inv(MOVING), world)
    found = ndimage.map_coordinates(image, np.moveaxis(places, -1, 0), order=1)
    assert np.allclose(found, expected, atol=1e-4)


def test_reading_back(tmp_path, field):
    save_warp(tmp_path / "warp.nii.gz", field, FIXED, MOVING)
    found, affine = load_warp(tmp_path / "warp.nii.gz", MOVING)
    assert np.allclose(found, field, atol=1e-4)
    assert np.allclose(affine, FIXED)


def test_other_shapes_are_refused(tmp_path, field):
    with pytest.raises(RoundoffError, match="one vector per voxel"):
        save_warp(tmp_path / "warp.nii.gz", field[..., :2], FIXED)
    nib.save(nib.Nifti1Image(field, FIXED), tmp_path / "four.nii.gz")
    with pytest.raises(RoundoffError, match=r"has \(X, Y, Z, 1, 3\)"):
        load_warp(tmp_path / "four.nii.gz")
