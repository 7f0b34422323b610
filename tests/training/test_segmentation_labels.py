"""Registration and pseudo-labels find a known map and known structures again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from roundoff.training.segmentation.classes import load_classes
from roundoff.training.segmentation.evaluation import dice
from roundoff.training.segmentation.pseudo_labels import Priors, refine
from roundoff.training.segmentation.registration import Alignment, register
from roundoff.training.segmentation.warps import (
    exponential,
    gaussian_blur,
    grid_points,
    sample,
)

SHAPE = (24, 28, 32)


def smooth_field(seed: int, size: float) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(0, 1, (3, *SHAPE)), (0, 4, 4, 4))
    return torch.from_numpy(field / np.abs(field).max() * size).float()


def test_sampling_at_voxels_is_the_identity():
    volume = torch.rand(2, *SHAPE)
    assert torch.allclose(sample(volume, grid_points(SHAPE)), volume, atol=1e-5)
    beyond = torch.tensor([[[[-5.0, 3, 3]]]])
    assert sample(volume, beyond).abs().max() == 0


def test_exponentials_of_opposite_fields_cancel():
    velocity = smooth_field(0, 2.0)
    forth = exponential(velocity).movedim(0, -1)
    points = grid_points(SHAPE) + forth
    back = points + sample(exponential(-velocity), points, edge="border").movedim(0, -1)
    inner = (slice(4, -4),) * 3
    assert (back - grid_points(SHAPE))[inner].abs().max() < 0.05


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_alignments_invert_themselves(seed):
    rng = np.random.default_rng(seed)
    matrix = torch.from_numpy(np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))).float()
    offset = torch.from_numpy(rng.uniform(-3, 3, 3)).float()
    alignment = Alignment(matrix, offset, smooth_field(seed, 1.5), 1.0)
    points = grid_points(SHAPE)[6:-6, 6:-6, 6:-6]
    back = alignment.to_fixed(alignment.to_moving(points))
    assert (back - points).abs().max() < 0.1


def test_registration_finds_a_shift_and_a_scale():
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 1, (1, 48, 48, 48))).float()
    fixed = gaussian_blur(noise, 2.0)[0]
    fixed = fixed / fixed.std() * 0.5 + 1
    matrix = torch.diag(torch.tensor([0.95, 1.0, 1.04]))
    offset = torch.tensor([2.0, -1.0, -2.0])
    points = (grid_points((48, 48, 48)) - offset) @ torch.linalg.inv(matrix).T
    moving = sample(fixed[None], points, edge="border")[0]
    mask = torch.zeros(48, 48, 48)
    mask[8:-8, 8:-8, 8:-8] = 1
    found = register(fixed, moving, mask, iterations=(10, 10, 5))
    inner = grid_points((48, 48, 48))[12:-12, 12:-12, 12:-12]
    error = found.to_moving(inner) - (inner @ matrix.T + offset)
    assert error.norm(dim=-1).mean() < 0.5


@pytest.fixture(scope="module")
def layered():
    """Concentric white matter, cortex and background, and blurred priors of them."""
    names = {c.name: c.index for c in load_classes()}
    white = names["Left-Cerebral-White-Matter"]
    cortex = names["Left-Cerebral-Cortex"]
    grid = np.indices((36, 36, 36)).reshape(3, -1).T - 17.5
    angle = np.arctan2(grid[:, 1], grid[:, 2])
    # The folds are in the image alone: priors know only the mean radius.
    folds = (1 + 0.12 * np.sin(6 * angle)).reshape(36, 36, 36)
    radius = np.linalg.norm(grid, axis=1).reshape(36, 36, 36)

    def labels(r):
        inner = np.where(r < 13, cortex, 0)
        return np.where(r < 9, white, inner).astype(np.uint8)

    truth = labels(radius * folds)
    values = np.stack(
        [
            gaussian_filter((labels(radius) == c.index).astype(np.float32), 2.0)
            for c in load_classes()
        ]
    )
    levels = np.zeros(len(load_classes()))
    levels[[0, cortex, white]] = 15, 70, 110
    rng = np.random.default_rng(0)
    bias = 1 + 0.15 * np.indices(truth.shape)[1] / 36
    image = levels[truth] * bias + rng.normal(0, 4, truth.shape)
    image = image.clip(0, 255).astype(np.uint8)
    return image, Priors(values, (slice(None),) * 3), truth, (white, cortex)


def test_refining_follows_the_folds_of_the_image(layered):
    image, priors, truth, classes = layered
    found = refine(image, priors)
    start = priors.values.argmax(0)
    for c in classes:
        before = dice(start == c, truth == c)
        after = dice(found == c, truth == c)
        assert after > 0.8
        assert after > before + 0.08
