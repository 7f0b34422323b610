"""Overlap, smoothness and integration of the registration training."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from roundoff.models.synthmorph.transform import integrate as model_integrate
from roundoff.models.synthmorph.transform import warp_image
from roundoff.training.registration.losses import (
    dice,
    distance,
    gradient_penalty,
    integrate,
    mean_dice,
    move,
)
from roundoff.training.registration.noise import perlin
from roundoff.training.segmentation.warps import grid_points

EDGE = slice(4, -4)
INSIDE = (..., EDGE, EDGE, EDGE)


def waves(shape, amplitude=0.5, length=64.0):
    """A smooth velocity (1, 3, *shape), voxels."""
    axes = torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij")
    turn = 2 * torch.pi / length
    parts = [torch.sin(turn * (a + k)) for k, a in enumerate(axes)]
    field = torch.stack([parts[1] * parts[2], parts[0], parts[1] * parts[0]])
    return amplitude * field[None]


def fine_steps(velocity, count=20):
    """The displacement of a velocity by `count` Runge-Kutta steps in float64."""
    velocity = velocity.double()
    shape = velocity.shape[2:]
    size = torch.tensor([n - 1 for n in shape], dtype=torch.float64)

    def at(u):
        points = grid_points(tuple(shape)).double() + u.movedim(1, -1)
        scaled = (points * (2 / size) - 1).flip(-1)
        return F.grid_sample(
            velocity, scaled, padding_mode="border", align_corners=True
        )

    u, h = torch.zeros_like(velocity), 1 / count
    for _ in range(count):
        a = at(u)
        b = at(u + h / 2 * a)
        c = at(u + h / 2 * b)
        u = u + h / 6 * (a + 2 * b + 2 * c + at(u + h * c))
    return u


@pytest.fixture(scope="module")
def velocity():
    """What the generator draws: Perlin noise (1, 3, 32, 40, 48)."""
    return perlin((32, 40, 48), 16, 0.5, np.random.default_rng(0), 3)[None]


def test_integration_of_smooth_fields_is_accurate_to_a_thousandth_of_a_voxel():
    smooth = waves((32, 40, 48))
    fine = fine_steps(smooth)
    assert fine.abs().max() > 0.4
    assert (integrate(smooth, 7) - fine).abs()[INSIDE].max() < 1e-3


def test_integration_of_drawn_fields_is_accurate_but_at_their_kinks(velocity):
    error = (integrate(velocity, 5) - fine_steps(velocity)).abs()[INSIDE]
    assert error.mean() < 2e-4
    assert (error < 1e-3).float().mean() > 0.97
    assert error.max() < 5e-3


def test_integration_is_inverse_consistent(velocity):
    for field, worst in ((waves((32, 40, 48)), 4e-3), (velocity, 0.03)):
        there, back = integrate(field, 7), integrate(-field, 7)
        gap = (there + move(back, there)).abs()[INSIDE]
        assert gap.max() < worst
        assert gap.mean() < 1e-3


def test_training_warps_as_the_model_does(velocity):
    field = integrate(velocity, 5)
    assert torch.allclose(field[0], model_integrate(velocity[0], 5), atol=1e-5)
    image = torch.rand(1, 2, 32, 40, 48, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(
        move(image, field)[0], warp_image(image[0], field[0]), atol=1e-5
    )


def test_dice_counts_overlap_and_gives_0_for_nothing():
    a = torch.zeros(1, 2, 4, 4, 4)
    a[:, 0, :2] = 1
    b = torch.zeros_like(a)
    b[:, 0, 1:3] = 1
    assert dice(a, b).tolist() == [[0.5, 0.0]]
    assert mean_dice(a, b).item() == 0.5  # the absent structure is left out
    assert mean_dice(a, a).item() == 1
    assert mean_dice(0 * a, 0 * a).item() == 0


def test_penalty_of_a_linear_field_is_its_slope_squared_over_the_components():
    field = torch.zeros(1, 3, 5, 5, 5)
    field[:, 0] = 0.3 * torch.arange(5.0)[:, None, None]
    assert gradient_penalty(field).item() == pytest.approx(0.09 / 9)
    assert gradient_penalty(torch.full((1, 3, 4, 4, 4), 2.0)) == 0


def test_distance_is_the_weighted_mean_square():
    one, two = torch.zeros(1, 3, 2, 2, 2), torch.ones(1, 3, 2, 2, 2)
    weight = torch.zeros(1, 1, 2, 2, 2)
    weight[..., 0] = 0.5
    assert distance(one, two, weight).tolist() == pytest.approx([3])
