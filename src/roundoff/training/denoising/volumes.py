"""Volumes to add noise to: real heads, moved and deformed, in the conformed range."""

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from roundoff.images.conform import conform
from roundoff.models.base import Grid
from roundoff.training.segmentation.appearance import bias_field
from roundoff.training.segmentation.deformation import Deformations, random_points
from roundoff.training.segmentation.warps import sample

FINE = Grid()  # 1 mm: what the random volumes are sampled from
GRID = Grid(voxel_size=2.0, shape=(128, 128, 128))
SMOOTH = 0.5  # 1 mm voxels: the blur of conforming to 2 mm


def read_head(path: Path) -> np.ndarray:
    """A scan conformed to 1 mm, blurred as conforming to 2 mm blurs it (float32)."""
    fine = np.asarray(conform(nib.load(path), FINE).dataobj, np.float32)
    return gaussian_filter(fine, SMOOTH)


def draw_volume(
    heads: Sequence[np.ndarray], number: int, seed: int = 0, grid: Grid = GRID
) -> np.ndarray:
    """Random volume `number`, uint8 of the grid's shape; a function of (seed, number).

    A head in turn, with the geometry of the segmentation training (Billot et al. 2023:
    affine map and smooth deformation), a random gain, gamma and bias field. No
    noise is added here, and none taken away.
    """
    rng = np.random.default_rng([seed, number])
    head = heads[number % len(heads)]
    centre = np.array(head.shape) / 2
    ranges = Deformations(shift=20.0)
    points, _ = random_points(rng, grid.shape, grid.voxel_size, centre, ranges)
    volume = sample(torch.from_numpy(head)[None], points)[0] / 255
    volume = volume ** float(np.exp(rng.uniform(-0.3, 0.3)))
    volume = volume * bias_field(volume.shape, rng, 0.3) * float(rng.uniform(0.6, 1.2))
    return (volume * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def draw_volumes(
    heads: Sequence[np.ndarray],
    count: int,
    seed: int = 0,
    grid: Grid = GRID,
    report: Callable[[str], None] = lambda text: None,
) -> np.ndarray:
    """Volumes 0 to count - 1, (count, D, H, W) uint8."""
    volumes = np.empty((count, *grid.shape), np.uint8)
    for number in range(count):
        volumes[number] = draw_volume(heads, number, seed, grid)
        if (number + 1) % 10 == 0:
            report(f"{number + 1} of {count} volumes")
    return volumes
