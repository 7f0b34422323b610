"""Left is left: orientation, cuts and crops of the anatomical frame."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.figures.planes import (
    PLANES,
    busiest,
    check_grid,
    foreground,
    frame,
    ras_affine,
    to_ras,
)

CODES = ["".join(c) for c in itertools.product("LR", "AP", "SI")]
ORIENTATIONS = [
    "".join(code[i] for i in order)
    for code in CODES
    for order in itertools.permutations(range(3))
]
ZOOMS = np.array([1.0, 2.0, 3.0])  # of the RAS axes


def phantom(orientation):
    """A head of 21 x 15 x 11 RAS voxels with a bright mark at the right front top."""
    ras = np.zeros((21, 15, 11), np.float32)
    ras[2:19, 2:13, 2:9] = 100
    ras[16, 11, 7] = 1000
    affine = np.diag([*ZOOMS, 1])
    affine[:3, 3] = [-10, -15, -16]
    image = nib.Nifti1Image(ras, affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"),
        nib.orientations.axcodes2ornt(orientation),
    )
    turned = image.as_reoriented(turn)
    return np.asarray(turned.dataobj), turned.affine


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_gives_the_same_pictures(orientation):
    anatomy, affine = phantom(orientation)
    assert "".join(nib.aff2axcodes(affine)) == orientation
    mark = (6.0, 7.0, 5.0)  # world coordinates of the bright voxel
    view = frame(anatomy, affine, cuts=mark)
    assert view.cuts == (16, 11, 7)
    volume = to_ras(anatomy, affine)
    for plane in PLANES:
        image = view.slice(volume, plane)
        row, column = np.argwhere(image == 1000)[0]
        across = (column + 0.5) / image.shape[1]
        up = (row + 0.5) / image.shape[0]
        assert across > 0.6  # to the right, or to the front in the sagittal plane
        assert up > 0.6
        assert view.place(plane, plane.across) == pytest.approx(across)
        assert view.place(plane, plane.up) == pytest.approx(up)
    assert [view.position(plane) for plane in PLANES] == [
        "z = 5 mm",
        "y = 7 mm",
        "x = 6 mm",
    ]


def test_radiological_convention_mirrors_picture_letters_and_lines():
    anatomy, affine = phantom("LIA")
    neuro = frame(anatomy, affine, cuts=(6, 7, 5))
    radio = frame(anatomy, affine, cuts=(6, 7, 5), convention="radiological")
    volume = to_ras(anatomy, affine)
    for plane in PLANES[:2]:
        mirrored = neuro.slice(volume, plane)[:, ::-1]
        np.testing.assert_array_equal(radio.slice(volume, plane), mirrored)
        assert neuro.sides(plane)[:2] == ("L", "R")
        assert radio.sides(plane)[:2] == ("R", "L")
        both = neuro.place(plane, 0) + radio.place(plane, 0)
        assert both == pytest.approx(1)
    sagittal = PLANES[2]
    assert radio.sides(sagittal) == neuro.sides(sagittal) == ("P", "A", "I", "S")
    np.testing.assert_array_equal(
        radio.slice(volume, sagittal), neuro.slice(volume, sagittal)
    )


def test_world_coordinates_survive_an_oblique_affine():
    angle = np.deg2rad(12)
    turn = np.array(
        [
            [np.cos(angle), -np.sin(angle), 0],
            [np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1, 1, 2])
    affine[:3, 3] = [20, -20, -30]
    volume = np.random.default_rng(0).random((9, 10, 11))
    turned, ras = to_ras(volume, affine), ras_affine(volume.shape, affine)
    assert nib.aff2axcodes(ras) == ("R", "A", "S")
    corner = np.argwhere(turned == volume[1, 2, 3])[0]
    np.testing.assert_allclose(ras @ [*corner, 1], affine @ [1, 2, 3, 1])


def test_extents_are_in_mm_and_the_crop_keeps_the_head():
    anatomy, affine = phantom("PSR")
    view = frame(anatomy, affine)
    size = (np.array(view.high) - view.low) * ZOOMS
    for plane in PLANES:
        assert view.extent(plane) == (size[plane.across], size[plane.up])
    cropped = to_ras(anatomy, affine)[tuple(map(slice, view.low, view.high))]
    assert (cropped > 0).sum() == (anatomy > 0).sum()


def test_focus_moves_the_cuts():
    anatomy, affine = phantom("RAS")
    focus = np.zeros(anatomy.shape, bool)
    focus[14:19, 9:12, 3:6] = True
    assert frame(anatomy, affine, focus).cuts[1:] == (10, 4)
    nothing = np.zeros(anatomy.shape, bool)
    assert frame(anatomy, affine, nothing).cuts == frame(anatomy, affine).cuts


def test_busiest_planes_are_found_in_any_orientation():
    for orientation in ("RAS", "LIA", "PSR"):
        anatomy, affine = phantom(orientation)
        spot = (anatomy == 1000).astype(float)
        assert busiest(spot, affine) == (6.0, 7.0, 5.0)
        assert busiest(0 * spot, affine) is None


def test_cuts_outside_the_head_are_brought_back():
    anatomy, affine = phantom("RAS")
    view = frame(anatomy, affine, cuts=(900, -900, 0))
    assert view.cuts[0] == view.high[0] - 1
    assert view.cuts[1] == view.low[1]


def test_foreground_of_odd_scans():
    assert foreground(np.zeros((2, 2, 2))).all()
    scan = np.ones((4, 4, 4))
    scan[0, 0, 0] = np.nan
    assert foreground(scan).sum() == 63


def test_refuses():
    anatomy, affine = phantom("RAS")
    with pytest.raises(RoundoffError, match="convention"):
        frame(anatomy, affine, convention="surgical")
    with pytest.raises(RoundoffError, match="one grid"):
        check_grid("bits", anatomy[:3], anatomy)
