"""Random heads from one head: affine maps, mirror images and smooth deformations."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roundoff.training.segmentation.warps import exponential, grid_points, resize_field


@dataclass(frozen=True)
class Deformations:
    """Ranges of the random geometry; lengths in mm, angles in degrees."""

    rotation: float = 15.0
    scale: float = 0.15
    stretch: float = 0.06  # further scaling of each axis
    shear: float = 0.04
    shift: float = 12.0
    velocity: float = 5.0  # largest standard deviation of the velocity
    knots: tuple[int, int] = (5, 14)  # coarseness of the velocity field, per axis
    mirror: float = 0.5  # probability


def random_matrix(rng: np.random.Generator, ranges: Deformations) -> np.ndarray:
    """Random rotation, scaling and shear, without reflection: (3, 3)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rng.uniform(-1, 1, 3) * ranges.rotation)):
        i, j = (a for a in range(3) if a != axis)
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = (
            np.cos(angle),
            -np.sin(angle),
            *(
                np.sin(angle),
                np.cos(angle),
            ),
        )
        matrix = matrix @ turn
    scale = 1 + rng.uniform(-1, 1) * ranges.scale
    stretch = 1 + rng.uniform(-1, 1, 3) * ranges.stretch
    shear = np.eye(3) + np.triu(rng.uniform(-1, 1, (3, 3)) * ranges.shear, 1)
    return matrix @ shear @ np.diag(scale * stretch)


def random_displacement(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    ranges: Deformations,
    mm: float,
) -> Tensor:
    """Diffeomorphic displacement (3, D, H, W), in mm, on a grid of spacing `mm`."""
    knots = int(rng.integers(ranges.knots[0], ranges.knots[1] + 1))
    amplitude = rng.uniform(0, ranges.velocity)
    coarse = torch.from_numpy(
        rng.normal(0, amplitude, (3, knots, knots, knots))
    ).float()
    small = tuple(max(n // 4, 2) for n in shape)
    # The exponential works in voxels of its own, four times coarser, grid.
    spacing = torch.tensor(
        [(n - 1) / (s - 1) * mm for n, s in zip(shape, small, strict=True)]
    )
    spacing = spacing[:, None, None, None]
    field = exponential(resize_field(coarse, small) / spacing, steps=5)
    return resize_field(field * spacing, shape)


def random_points(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    mm: float,
    centre: np.ndarray,
    ranges: Deformations,
) -> tuple[Tensor, bool]:
    """Source points (D, H, W, 3), 1 mm voxels, for each voxel of a new grid.

    `centre`: source voxel that the middle of the new grid shows before the random
    shift. Also says whether the head is mirrored (labels must then change sides).
    """
    mirrored = bool(rng.random() < ranges.mirror)
    matrix = random_matrix(rng, ranges)
    if mirrored:
        matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
    shift = rng.uniform(-1, 1, 3) * ranges.shift
    displacement = random_displacement(rng, shape, ranges, mm)
    middle = torch.tensor([n / 2 for n in shape])
    points = (grid_points(shape) - middle) * mm + displacement.movedim(0, -1)
    target = torch.from_numpy(centre + shift).float()
    return points @ torch.from_numpy(matrix.T).float() + target, mirrored
