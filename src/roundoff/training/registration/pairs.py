"""Training pairs: two images and the structures they should bring together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.training.registration.contrast import draw_image, draw_means
from roundoff.training.registration.maps import Family
from roundoff.training.segmentation.appearance import cut_away
from roundoff.training.segmentation.generator import Head

MULTIPLE = 16  # of the sides, for four poolings


@dataclass(frozen=True)
class Pair:
    """Images (D, H, W) in 0-1, their label maps (uint8), and of each the label
    shares (L, D/2, H/2, W/2) and origins (3, D/2, H/2, W/2) in their common map."""

    moving: Tensor
    fixed: Tensor
    moving_labels: np.ndarray
    fixed_labels: np.ndarray
    moving_shares: Tensor
    fixed_shares: Tensor
    moving_points: Tensor
    fixed_points: Tensor


@dataclass(frozen=True)
class Pairs:
    """Random pairs: a function of (seed, step) alone.

    `anatomy`: probability that a pair is one of heads (families named without
    "shapes"); `strip`: that heads lose what lies outside the brain; `cut`: that
    one image loses a half space outside it, as defacing takes. `typical`: mean
    intensities of the heads' labels in T1-weighted images.
    """

    families: Sequence[Family]
    typical: np.ndarray | None = None
    anatomy: float = 0.8
    strip: float = 0.35
    cut: float = 0.3
    seed: int = 0

    def draw(self, step: int, every: int = 1) -> Pair:
        """Pair number `step`, from every so-manieth voxel of the maps."""
        rng = np.random.default_rng([self.seed, step])
        family, is_head = self._family(rng)
        one, two = rng.choice(len(family.poses), 2, replace=False)
        maps = [coarsened(family.poses[k], every) for k in (one, two)]
        if is_head and rng.random() < self.strip:
            maps = [np.where(m > family.structures, 0, m) for m in maps]
        count = max(int(family.poses.max()), family.structures) + 1
        typical = self.typical[:count] if is_head and self.typical is not None else None
        means = draw_means(count, rng, typical)
        images = [draw_image(m, v, rng) for m, v in zip(maps, means, strict=True)]
        if is_head and rng.random() < self.cut:
            side = int(rng.integers(2))
            brain = torch.from_numpy(
                (maps[side] > 0) & (maps[side] <= family.structures)
            )
            images[side] = cut_away(images[side], brain, rng)
        shares = (label_shares(m, family.structures) for m in maps)
        points = (coarse_points(family.points[k], every) for k in (one, two))
        return Pair(*images, *maps, *shares, *points)

    def _family(self, rng: np.random.Generator) -> tuple[Family, bool]:
        shapes = [f for f in self.families if f.name.startswith("shapes")]
        heads = [f for f in self.families if not f.name.startswith("shapes")]
        is_head = bool(heads) and (not shapes or rng.random() < self.anatomy)
        chosen = heads if is_head else shapes
        return chosen[rng.integers(len(chosen))], is_head


def coarsened(labels: np.ndarray, every: int) -> np.ndarray:
    """Every so-manieth voxel, cropped around the middle to sides divisible by 16."""
    if every == 1:
        return labels
    coarse = labels[(slice(every // 2, None, every),) * 3]
    return coarse[middle(coarse.shape, MULTIPLE)]


def coarse_points(points: np.ndarray, every: int) -> Tensor:
    """The points (3, d, h, w) that belong to `coarsened` labels."""
    pooled = F.avg_pool3d(torch.from_numpy(points), every)
    if every == 1:
        return pooled
    return pooled[:, *middle(pooled.shape[1:], MULTIPLE // 2)]


def middle(shape: tuple[int, ...], multiple: int) -> tuple[slice, ...]:
    """The middle of an array, with sides divisible by `multiple`."""
    lost = [n % multiple for n in shape]
    return tuple(
        slice(k // 2, n - (k - k // 2)) for k, n in zip(lost, shape, strict=True)
    )


def label_shares(labels: np.ndarray, structures: int) -> Tensor:
    """Share of each structure (1 to `structures`) in every block of 2 x 2 x 2 voxels.

    Returns (structures, D/2, H/2, W/2) float32.
    """
    whole = torch.from_numpy(labels.astype(np.int16))
    hot = torch.stack([whole == k for k in range(1, structures + 1)]).float()
    return F.avg_pool3d(hot[None], 2)[0]


def typical_means(head: Head) -> np.ndarray:
    """Mean intensity (0-1) of each label of `anatomy_map` in the head's own image."""
    tissues = head.tissues.ravel()
    counts = np.bincount(tissues)
    sums = np.bincount(tissues, head.image.ravel())
    return sums / np.maximum(counts, 1) / 255
