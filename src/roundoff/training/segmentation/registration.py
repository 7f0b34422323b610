"""Registration of one head to another: affine, then a stationary velocity field.

The fixed image has a mask (its brain); the moving image is a whole head. Both are
float arrays on isotropic grids of the same voxel size and orientation.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.training.segmentation.warps import (
    exponential,
    gaussian_blur,
    grid_points,
    resize_field,
    sample,
)


@dataclass(frozen=True)
class Alignment:
    """Fixed voxel y to moving voxel x: x = centre + M (exp(v)(y) - origin) + t.

    `matrix` (3, 3), `offset` (3) with x = matrix y + offset; `velocity` (3, d, h, w)
    in fixed voxels, on a grid `spacing` fixed voxels apart.
    """

    matrix: Tensor
    offset: Tensor
    velocity: Tensor
    spacing: float

    def to_moving(self, points: Tensor) -> Tensor:
        """Moving coordinates of fixed points (..., 3)."""
        return self._deform(points, self.velocity) @ self.matrix.T + self.offset

    def to_fixed(self, points: Tensor) -> Tensor:
        """Fixed coordinates of moving points: the exact inverse map."""
        inverse = torch.linalg.inv(self.matrix)
        return self._deform((points - self.offset) @ inverse.T, -self.velocity)

    def _deform(self, points: Tensor, velocity: Tensor) -> Tensor:
        field = exponential(velocity / self.spacing) * self.spacing
        shift = sample(field, points / self.spacing, edge="border")
        return points + shift.movedim(0, -1)


def correlation(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Weighted Pearson correlation of two arrays."""
    weight = weight / weight.sum()
    a, b = a - (weight * a).sum(), b - (weight * b).sum()
    cov = (weight * a * b).sum()
    return cov / torch.sqrt((weight * a * a).sum() * (weight * b * b).sum() + 1e-8)


def local_correlation(a: Tensor, b: Tensor, weight: Tensor, window: int = 7) -> Tensor:
    """Weighted mean of the squared correlation in a moving window (Avants 2008)."""
    maps = torch.stack([a, b, a * a, b * b, a * b])[None]
    for axis in range(3):
        size, pad = [1, 1, 1], [0, 0, 0]
        size[axis], pad[axis] = window, window // 2
        maps = F.avg_pool3d(maps, tuple(size), 1, tuple(pad))
    mean_a, mean_b, aa, bb, ab = maps[0]
    cross = ab - mean_a * mean_b
    variances = (aa - mean_a**2).clamp_min(0) * (bb - mean_b**2).clamp_min(0)
    return (weight * cross * cross / (variances + 1e-5)).sum() / weight.sum()


def register(
    fixed: Tensor,
    moving: Tensor,
    mask: Tensor,
    *,
    iterations: tuple[int, int, int] = (60, 80, 60),
    report: Callable[[str], None] = lambda text: None,
) -> Alignment:
    """Align a head to a template; images scaled to about 0-1, mask in 0-1."""
    matrix, offset, score = _affine(fixed, moving, mask)
    report(f"affine correlation {score:.3f}")
    return _deformable(fixed, moving, mask, matrix, offset, iterations, report)


def _pyramid(volume: Tensor, factor: int) -> Tensor:
    return F.avg_pool3d(volume[None, None], factor)[0, 0] if factor > 1 else volume


def _level_points(shape: torch.Size, factor: int) -> Tensor:
    """Full-resolution coordinates of the voxel centres of a pooled grid."""
    return grid_points(tuple(shape), factor) + (factor - 1) / 2


def _affine(fixed: Tensor, moving: Tensor, mask: Tensor):
    centre = (grid_points(tuple(mask.shape)) * mask[..., None]).sum((0, 1, 2))
    centre = centre / mask.sum()
    middle = torch.tensor(moving.shape, dtype=torch.float32) / 2
    starts = [
        (torch.tensor([0.0, tilt]), middle + torch.tensor([0.0, down, front]))
        for tilt in (-0.25, 0.0, 0.25)
        for down in (-20.0, -5.0, 10.0)
        for front in (-8.0, 4.0)
    ]
    tries = []
    for angles, target in starts:
        start = _tilt(float(angles[1])), target
        tries.append(_fit_affine(fixed, moving, mask, centre, *start, 4, 40))
    tries.sort(key=lambda found: -found[2])
    # Local correlation is blind to the bias field, which pulls the global one.
    best = _fit_affine(
        *(fixed, moving, mask, centre), *tries[0][:2], 2, 120, local_correlation
    )
    matrix, target, score = best
    return matrix, target - matrix @ centre, score


def _tilt(angle: float) -> Tensor:
    """Rotation about the left-right axis (axis 0), radians."""
    c, s = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    return torch.tensor([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def _fit_affine(
    fixed, moving, mask, centre, matrix, target, factor, steps, similarity=correlation
):
    """Adam on the twelve parameters at one resolution; keeps the best seen."""
    a, b, w = (_pyramid(v, factor) for v in (fixed, moving, mask))
    points = _level_points(a.shape, factor) - centre
    change = torch.zeros(3, 3, requires_grad=True)
    shift = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam(
        [
            {"params": [change], "lr": 0.006 * factor},
            {"params": [shift], "lr": 0.5 * factor},
        ]
    )
    best = (matrix, target, -1.0)
    for _ in range(steps):
        m, t = matrix + change, target + shift
        x = points @ m.T + t
        warped = sample(b[None], (x - (factor - 1) / 2) / factor)[0]
        score = similarity(a, warped, w)
        if score.item() > best[2]:
            best = (m.detach().clone(), t.detach().clone(), score.item())
        # A mild pull of the determinant to one keeps the brain from shrinking away.
        loss = -score + 0.02 * torch.log(torch.linalg.det(m).abs()).square()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] *= 0.98
    return best


def _deformable(fixed, moving, mask, matrix, offset, iterations, report):
    spacing = 2.0
    shape = tuple(int(n // spacing) + 1 for n in fixed.shape)
    raw = torch.zeros(3, *shape, requires_grad=True)
    for factor, steps in zip((4, 2, 1), iterations, strict=True):
        a, b, w = (_pyramid(v, factor) for v in (fixed, moving, mask))
        points = _level_points(a.shape, factor)
        optimiser = torch.optim.Adam([raw], lr=0.12 if factor > 1 else 0.08)
        for _ in range(steps):
            velocity = gaussian_blur(raw, 1.2)
            found = Alignment(matrix, offset, velocity, spacing).to_moving(points)
            warped = sample(b[None], (found - (factor - 1) / 2) / factor)[0]
            score = local_correlation(a, warped, w, 5 if factor == 4 else 7)
            loss = -score + 0.015 * _roughness(velocity)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        report(f"1/{factor} resolution: local correlation {score.item():.3f}")
    velocity = gaussian_blur(raw.detach(), 1.2)
    return Alignment(matrix, offset, velocity, spacing)


def _roughness(field: Tensor) -> Tensor:
    return sum(torch.diff(field, dim=d).square().mean() for d in (1, 2, 3))


__all__ = ["Alignment", "correlation", "local_correlation", "register", "resize_field"]
