"""SynthMorph's objective: overlap of moved and fixed structures, and smoothness."""

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.training.segmentation.warps import grid_points


def move(volumes: Tensor, fields: Tensor) -> Tensor:
    """Volumes (N, C, D, H, W) seen through fields (N, 3, D, H, W): v(x + u(x)).

    Voxels of that grid, linear interpolation, the border value beyond it.
    """
    shape = tuple(fields.shape[2:])
    points = grid_points(shape) + fields.movedim(1, -1)
    size = torch.tensor([max(n - 1, 1) for n in shape], dtype=torch.float32)
    scaled = (points * (2 / size) - 1).flip(-1)  # grid_sample wants x, y, z in -1..1
    return F.grid_sample(volumes, scaled, padding_mode="border", align_corners=True)


def integrate(velocity: Tensor, steps: int) -> Tensor:
    """Displacements (N, 3, D, H, W) of stationary velocities, scaling and squaring."""
    field = velocity / 2**steps
    for _ in range(steps):
        field = field + move(field, field)
    return field


def dice(moved: Tensor, fixed: Tensor) -> Tensor:
    """2 sum(ab) / sum(a + b) per pair and structure (N, L); 0 / 0 is 0."""
    overlap = 2 * (moved * fixed).sum((2, 3, 4))
    total = (moved + fixed).sum((2, 3, 4))
    return overlap / total.clamp_min(1e-6)


def mean_dice(moved: Tensor, fixed: Tensor) -> Tensor:
    """Mean Dice over the structures that are in one of the maps of a pair, (N,)."""
    present = ((moved + fixed).sum((2, 3, 4)) > 0).float()
    scores = dice(moved, fixed) * present
    return scores.sum(1) / present.sum(1).clamp_min(1)


def gradient_penalty(field: Tensor) -> Tensor:
    """Mean square of the forward differences of fields (N, 3, D, H, W)."""
    return torch.stack([field.diff(dim=d).square().mean() for d in (2, 3, 4)]).mean()


def distance(moved: Tensor, fixed: Tensor, weight: Tensor) -> Tensor:
    """Mean square distance (N,) of maps of points (N, 3, ...), weight (N, 1, ...)."""
    apart = (weight * (moved - fixed).square()).sum((1, 2, 3, 4))
    return apart / weight.sum((1, 2, 3, 4)).clamp_min(1)
