"""Spatial maps on voxel grids: sampling, stationary velocity fields, affine maps.

Points are voxel coordinates in array order, arrays (D, H, W, 3), float32.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def grid_points(shape: tuple[int, int, int], step: float = 1.0) -> Tensor:
    """Voxel coordinates of every voxel of a grid, times `step`: (D, H, W, 3)."""
    axes = [torch.arange(n, dtype=torch.float32) * step for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def sample(
    volume: Tensor, points: Tensor, mode: str = "bilinear", edge: str = "zeros"
) -> Tensor:
    """Values of `volume` (C, D, H, W) at `points`, linear or nearest: (C, ...).

    Outside the volume: 0 (`edge="zeros"`) or the nearest voxel (`"border"`).
    """
    size = torch.tensor(volume.shape[1:], dtype=torch.float32)
    # grid_sample wants coordinates in -1..1 and in x, y, z (reversed) order.
    scaled = (points * (2 / (size - 1)) - 1).flip(-1)
    found = F.grid_sample(
        volume[None], scaled[None], mode=mode, padding_mode=edge, align_corners=True
    )
    return found[0]


def exponential(velocity: Tensor, steps: int = 6) -> Tensor:
    """Displacement of a stationary velocity field by scaling and squaring.

    `velocity`: (3, D, H, W) in voxels of its own grid (Arsigny et al. 2006).
    """
    points = grid_points(tuple(velocity.shape[1:]))
    displacement = velocity / 2**steps
    for _ in range(steps):
        moved = points + displacement.movedim(0, -1)
        displacement = displacement + sample(displacement, moved, edge="border")
    return displacement


def resize_field(field: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Linear resampling of (C, d, h, w) to (C, D, H, W), corners aligned."""
    return F.interpolate(field[None], shape, mode="trilinear", align_corners=True)[0]


def gaussian_blur(volume: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian smoothing of (C, D, H, W), edges replicated."""
    if sigma <= 0:
        return volume
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    out = volume[:, None]
    for axis in range(3):
        shape, pad = [1, 1, 1], [0] * 6
        shape[axis] = len(kernel)
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = radius
        out = F.conv3d(F.pad(out, pad, mode="replicate"), kernel.view(1, 1, *shape))
    return out[:, 0]
