"""Displacement fields: linear sampling, integration, resizing, folding.

A field has shape (3, D, H, W): displacement in voxels along each axis of the grid it
lives on. All arithmetic is ordinary float32 PyTorch.
"""

from itertools import product

import torch
from torch import Tensor


def identity_grid(shape: tuple[int, ...]) -> Tensor:
    """Voxel coordinates (3, D, H, W), float32."""
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def sample_linear(image: Tensor, points: Tensor) -> Tensor:
    """Values of `image` (C, D, H, W) at `points` (3, ...), in voxels, trilinearly.

    Beyond the border the nearest border value holds. Returns (C, ...).
    """
    channels, *sizes = image.shape
    flat = image.reshape(channels, -1)
    corners = [_corners(points[a], n) for a, n in enumerate(sizes)]
    strides = (sizes[1] * sizes[2], sizes[2], 1)
    total = None
    for choice in product((0, 1), repeat=3):
        place = sum(
            corners[a][0][side] * strides[a] for a, side in enumerate(choice)
        ).reshape(-1)
        weights = [corners[a][1][side] for a, side in enumerate(choice)]
        weight = weights[0] * weights[1] * weights[2]
        value = flat.index_select(1, place).reshape(channels, *points.shape[1:])
        total = weight * value if total is None else total + weight * value
    return total


def sample_nearest(image: Tensor, points: Tensor) -> Tensor:
    """Values of a label map (D, H, W) at the voxels nearest to `points` (3, ...)."""
    index = [
        points[a].round().clamp(0, n - 1).to(torch.int64)
        for a, n in enumerate(image.shape)
    ]
    return image[index[0], index[1], index[2]]


def _corners(coordinate: Tensor, size: int) -> tuple[tuple, tuple]:
    """Lower and upper voxel along one axis, and the weight of each."""
    floor = coordinate.floor()
    inside = coordinate.clamp(0, size - 1)
    low, high = floor.clamp(0, size - 1), (floor + 1).clamp(0, size - 1)
    weight = high - inside
    return (low.to(torch.int64), high.to(torch.int64)), (weight, 1 - weight)


def warp_image(image: Tensor, field: Tensor) -> Tensor:
    """`image` (C, D, H, W) seen through a field: moved(x) = image(x + field(x))."""
    return sample_linear(image, identity_grid(field.shape[1:]) + field)


def warp_labels(labels: Tensor, field: Tensor) -> Tensor:
    """A label map (D, H, W) seen through a field, by nearest neighbour."""
    return sample_nearest(labels, identity_grid(field.shape[1:]) + field)


def integrate(velocity: Tensor, steps: int) -> Tensor:
    """Displacement of a stationary velocity field, by scaling and squaring.

    Arsigny et al. 2006; `steps` halvings, then as many compositions with itself.
    """
    field = velocity / 2**steps
    grid = identity_grid(field.shape[1:])
    for _ in range(steps):
        field = field + sample_linear(field, grid + field)
    return field


def resize_linear(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Resample (C, D, H, W) to `shape`: corner voxels stay corners (as neurite)."""
    for axis, size in enumerate(shape, start=1):
        if field.shape[axis] != size:
            field = _resize_axis(field, axis, size)
    return field


def _resize_axis(field: Tensor, axis: int, size: int) -> Tensor:
    points = torch.linspace(0, field.shape[axis] - 1, size)
    (low, high), (weight_low, weight_high) = _corners(points, field.shape[axis])
    shape = [1] * field.dim()
    shape[axis] = size
    return field.index_select(axis, low) * weight_low.reshape(shape) + (
        field.index_select(axis, high) * weight_high.reshape(shape)
    )


def rescale(field: Tensor, factor: float, shape: tuple[int, ...]) -> Tensor:
    """A field brought to a grid `factor` times finer: values times `factor`, resized.

    Enlarging multiplies first, shrinking resizes first, as VoxelMorph does.
    """
    if factor < 1:
        return resize_linear(field, shape) * factor
    return resize_linear(field * factor, shape)


def jacobian_determinant(field: Tensor) -> Tensor:
    """Determinant of x -> x + field(x), (D, H, W): at or below 0 the map folds.

    Central differences, one-sided at the border.
    """
    rows = []
    for component in range(3):
        gradient = torch.gradient(field[component])
        rows.append([g + (axis == component) for axis, g in enumerate(gradient)])
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def count_folded(field: Tensor) -> int:
    """Number of voxels where the map folds (Jacobian determinant <= 0)."""
    return int((jacobian_determinant(field) <= 0).sum())
