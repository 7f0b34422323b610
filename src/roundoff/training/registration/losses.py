"""Overlap of moved and fixed structures, and smoothness of the displacement."""

import torch
from torch import Tensor

from roundoff.training.segmentation.warps import grid_points, sample


def move(shares: Tensor, field: Tensor) -> Tensor:
    """`shares` (L, d, h, w) seen through a field (3, d, h, w), voxels of that grid."""
    points = grid_points(tuple(field.shape[1:])) + field.movedim(0, -1)
    return sample(shares, points, edge="border")


def dice_loss(moved: Tensor, fixed: Tensor) -> Tensor:
    """One minus the mean soft Dice over structures in either image (0 if none).

    2 sum(ab) / sum(a + b) per structure, as SynthMorph has it.
    """
    overlap = 2 * (moved * fixed).sum((1, 2, 3))
    total = (moved + fixed).sum((1, 2, 3))
    present = total > 1
    dice = overlap[present] / total[present]
    return 1 - dice.mean() if present.any() else 0 * moved.sum()


def gradient_penalty(field: Tensor) -> Tensor:
    """Mean square of the forward differences of a field (3, d, h, w)."""
    return torch.stack([field.diff(dim=d).square().mean() for d in (1, 2, 3)]).mean()


def distance(moving: Tensor, fixed: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean square distance of two maps of points (3, d, h, w)."""
    return (weight * (moving - fixed).square().sum(0)).sum() / weight.sum()
