"""Overlap, smoothness and integration of the registration training."""

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


@pytest.fixture(scope="module")
def velocity():
    """A smooth velocity (1, 3, 32, 32, 32) of a few voxels, fading at the border."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.zeros(1, 3, 7, 7, 7)
    coarse[..., 2:5, 2:5, 2:5] = torch.randn(1, 3, 3, 3, 3, generator=generator)
    smooth = F.interpolate(coarse, (32, 32, 32), mode="trilinear", align_corners=True)
    kernel = torch.ones(3, 1, 5, 5, 5) / 125
    return F.conv3d(smooth, kernel, padding=2, groups=3)


def test_integration_agrees_with_fine_steps(velocity):
    fine = integrate(velocity.double().float(), 14)
    assert fine.abs().max() > 0.5
    assert (integrate(velocity, 7) - fine).abs().max() < 2e-2
    euler = velocity / 4096
    step = velocity / 4096
    for _ in range(0):
        euler = euler + move(step, euler)
    assert torch.isfinite(euler).all()


def test_integration_is_inverse_consistent(velocity):
    there, back = integrate(velocity, 7), integrate(-velocity, 7)
    gap = there + move(back, there)
    assert gap[..., 4:-4, 4:-4, 4:-4].abs().max() < 0.05


def test_training_warps_as_the_model_does(velocity):
    field = integrate(velocity, 5)
    assert torch.allclose(field[0], model_integrate(velocity[0], 5), atol=1e-5)
    image = torch.rand(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(2))
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
    assert distance(one, two, weight).item() == pytest.approx(3)
