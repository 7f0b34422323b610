"""Families of label maps: one map in many random poses. Two of a family make a pair."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from roundoff.models.synthmorph.prepare import box_at, head_offset
from roundoff.training.registration.shapes import draw_shapes
from roundoff.training.segmentation.deformation import Deformations, random_points
from roundoff.training.segmentation.generator import Head
from roundoff.training.segmentation.warps import sample

MM, BOX = 3.0, (64, 64, 80)
"""Voxel size (mm) and voxels, LIA order, of the box the demo network works on."""
POSES = Deformations(
    rotation=5.0,
    scale=0.06,
    stretch=0.04,
    shear=0.03,
    shift=4.0,
    velocity=5.0,
    knots=(5, 12),
    mirror=0.0,
)
"""How two heads placed in the box by their outline still differ (mm, degrees)."""


@dataclass(frozen=True)
class Family:
    """Poses (N, D, H, W) uint8 of one map; labels above `structures` are not scored.

    These are the tissues outside the brain; air is 0. `points` (N, 3, D/2, H/2, W/2)
    float32: where each block of 2 x 2 x 2 voxels comes from in the map, mm.
    """

    name: str
    poses: np.ndarray
    points: np.ndarray
    structures: int


def anatomy_map(head: Head) -> np.ndarray:
    """Brain structures and head tissues of a 1 mm head: uint8 in the box, 3 mm."""
    every = (slice(1, None, round(MM)),) * 3
    place = box_at(head_offset(head.image[every], BOX), BOX)
    return np.ascontiguousarray(head.tissues[every][place])


def draw_poses(
    labels: np.ndarray, count: int, rng: np.random.Generator, mm: float = MM
) -> tuple[np.ndarray, np.ndarray]:
    """Random poses of a map of voxel size `mm`, and their points: see `Family`."""
    poses = np.empty((count, *labels.shape), np.uint8)
    origins = np.empty((count, 3, *(n // 2 for n in labels.shape)), np.float32)
    source = torch.from_numpy(labels).float()[None]
    middle = np.array(labels.shape) / 2 * mm
    for pose, origin in zip(poses, origins, strict=True):
        points, _ = random_points(rng, labels.shape, mm, middle, POSES)
        pose[:] = sample(source, points / mm, "nearest")[0].numpy()
        origin[:] = F.avg_pool3d(points.movedim(-1, 0), 2).numpy()
    return poses, origins


def draw_families(
    heads: dict[str, tuple[np.ndarray, int]],
    poses: int,
    shapes: int,
    poses_of_shape: int,
    seed: int = 0,
    box: tuple[int, int, int] = BOX,
    report: Callable[[str], None] = lambda text: None,
) -> list[Family]:
    """Families of the heads' maps (name: map, number of structures) and of shapes.

    A function of the seed. Each head has `poses`, each of the `shapes` random maps
    `poses_of_shape`.
    """
    rng = np.random.default_rng(seed)
    families = []
    for name, (labels, structures) in heads.items():
        drawn = draw_poses(labels, poses, rng)
        families.append(Family(name, *drawn, structures))
        report(f"{poses} poses of {name}")
    for number in range(shapes):
        labels = draw_shapes(box, rng)
        drawn = draw_poses(labels, poses_of_shape, rng)
        families.append(Family(f"shapes{number}", *drawn, int(labels.max())))
    report(f"{shapes} maps of shapes")
    return families
