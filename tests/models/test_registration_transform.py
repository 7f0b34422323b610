"""Sampling, integration, resizing and folding, against SciPy and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional as F

from roundoff.models.synthmorph.transform import (
    count_folded,
    identity_grid,
    integrate,
    jacobian_determinant,
    rescale,
    resize_linear,
    sample_linear,
    warp_image,
    warp_labels,
)

SHAPE = (7, 8, 9)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_sampling_is_scipys_linear_interpolation_with_edge_clamp(seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((2, *SHAPE), generator=generator)
    points = torch.rand((3, 5, 6, 7), generator=generator) * 16 - 4
    found = sample_linear(image, points)
    for channel in range(2):
        expected = ndimage.map_coordinates(
            image[channel].numpy().astype(np.float64),
            points.numpy().astype(np.float64),
            order=1,
            mode="nearest",
        )
        assert np.allclose(found[channel], expected, atol=2e-6)


def test_no_displacement_gives_the_image_bit_for_bit():
    image = torch.rand(1, *SHAPE)
    assert torch.equal(warp_image(image, torch.zeros(3, *SHAPE)), image)


def test_whole_voxel_shift_is_exact_and_clamps_at_the_edge():
    image = torch.rand(1, *SHAPE)
    field = torch.zeros(3, *SHAPE)
    field[1] = 2.0
    moved = warp_image(image, field)
    assert torch.equal(moved[:, :, :-2], image[:, :, 2:])
    assert torch.equal(moved[:, :, -1], image[:, :, -1])


def test_labels_move_without_mixing():
    labels = torch.randint(0, 2036, SHAPE, dtype=torch.int32)
    field = torch.full((3, *SHAPE), 0.4)
    assert torch.equal(warp_labels(labels, field), labels)
    field[0] = 0.6
    assert torch.equal(warp_labels(labels, field)[:-1], labels[1:])


@given(st.tuples(*[st.floats(-1.5, 1.5)] * 3))
@settings(max_examples=20, deadline=None)
def test_constant_velocity_integrates_to_itself(velocity):
    field = torch.tensor(velocity, dtype=torch.float32)[:, None, None, None]
    field = field.expand(3, 12, 13, 14)
    assert torch.allclose(integrate(field, 7), field, atol=1e-5)


def test_linear_velocity_integrates_to_the_exponential():
    # dx/dt = a (x - c): x(1) = c + e^a (x(0) - c), away from the border.
    centre, rate = 20.0, 0.2
    grid = identity_grid((41, 5, 5))
    velocity = torch.zeros_like(grid)
    velocity[0] = rate * (grid[0] - centre)
    field = integrate(velocity, 7)
    inner = slice(8, 33)
    expected = (np.exp(rate) - 1) * (grid[0] - centre)
    assert torch.allclose(field[0, inner], expected[inner], rtol=5e-3, atol=1e-3)


def test_forward_and_backward_integration_cancel():
    velocity = F.interpolate(
        torch.randn(1, 3, 4, 4, 4), (24, 24, 24), mode="trilinear", align_corners=True
    )[0]
    forward, backward = integrate(velocity, 7), integrate(-velocity, 7)
    both = backward + sample_linear(forward, identity_grid((24,) * 3) + backward)
    assert both[:, 4:-4, 4:-4, 4:-4].abs().mean() < 0.01
    assert forward.abs().mean() > 0.3


@given(st.tuples(*[st.integers(2, 20)] * 3))
@settings(max_examples=25, deadline=None)
def test_resizing_keeps_corners_as_pytorch_does(shape):
    field = torch.rand(3, 5, 6, 7)
    expected = F.interpolate(field[None], shape, mode="trilinear", align_corners=True)
    assert torch.allclose(resize_linear(field, shape), expected[0], atol=1e-5)


def test_rescaling_a_field_keeps_its_meaning():
    field = torch.full((3, 4, 5, 6), 1.5)
    fine = rescale(field, 2.0, (8, 10, 12))
    assert fine.shape == (3, 8, 10, 12)
    assert torch.equal(fine, torch.full_like(fine, 3.0))
    assert torch.allclose(rescale(fine, 0.5, (4, 5, 6)), field)


def test_determinant_of_a_linear_map():
    matrix = torch.tensor([[0.1, 0.2, 0.0], [-0.1, 0.3, 0.1], [0.0, 0.2, -0.2]])
    field = torch.einsum("ij,jxyz->ixyz", matrix, identity_grid(SHAPE))
    expected = torch.linalg.det(torch.eye(3) + matrix)
    found = jacobian_determinant(field)
    assert torch.allclose(found, torch.full_like(found, expected.item()), atol=1e-4)


def test_folding_is_counted_where_the_map_turns_over():
    field = torch.zeros(3, 10, 10, 10)
    assert count_folded(field) == 0
    field[0] = -2.0 * identity_grid((10, 10, 10))[0]  # x -> -x
    assert count_folded(field) == 1000
    field = torch.zeros(3, 10, 10, 10)
    field[0, 4:6] = torch.tensor([2.0, -2.0])[:, None, None]
    assert 0 < count_folded(field) < 1000
