"""Training pairs: two images and the structures they should bring together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.training.registration.generator import (
    Generator,
    draw_image,
    draw_means,
    mirror_axes,
    random_points,
    warp_map,
)
from roundoff.training.registration.shapes import KNOTS, draw_shapes


@dataclass(frozen=True)
class Pair:
    """Images (2, D, H, W) in 0-1, moving first; their label maps (2, D, H, W) uint8;
    `origins` (2, 3, D/2, H/2, W/2): the place of the common map, voxels, that each
    block of 2 x 2 x 2 voxels shows."""

    images: Tensor
    labels: np.ndarray
    origins: Tensor


@dataclass(frozen=True)
class Source:
    """Label maps of one kind. `structures`: labels above it are not scored (tissues
    outside the brain). No `maps`: random shapes of `shape`, new ones in every pair."""

    structures: int
    maps: Sequence[np.ndarray] = ()
    typical: np.ndarray | None = None
    shape: tuple[int, int, int] | None = None
    knots: tuple[int, int] = KNOTS

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One map."""
        if not self.maps:
            return draw_shapes(self.shape, rng, self.structures, self.knots)
        return self.maps[int(rng.integers(len(self.maps)))]


@dataclass(frozen=True)
class Pairs:
    """Random pairs, a function of (seed, number) alone.

    Both images of a pair are deformations of one map. `shares`: of the
    sources (equal when left out). With probability `known` means stay near a source's
    typical means (T1-weighted heads); with `strip` a head loses what is not scored.
    """

    sources: Sequence[Source]
    generator: Generator = field(default_factory=Generator)
    shares: Sequence[float] | None = None
    known: float = 0.0
    strip: float = 0.0
    seed: int = 0

    def draw(self, number: int) -> Pair:
        """Pair `number`."""
        rng = np.random.default_rng([self.seed, number])
        source = self.sources[int(rng.choice(len(self.sources), p=self.shares))]
        labels = source.draw(rng)
        axes = mirror_axes(self.generator.geometry, rng)
        labels = np.flip(labels, axes) if axes else labels
        points = [
            random_points(labels.shape, self.generator.geometry, rng) for _ in range(2)
        ]
        maps = np.stack([warp_map(labels, p) for p in points])
        if source.maps and rng.random() < self.strip:
            maps = np.where(maps > source.structures, 0, maps).astype(np.uint8)
        images = self._images(maps, source, rng)
        maps = np.where(maps > source.structures, 0, maps).astype(np.uint8)
        origins = torch.stack([F.avg_pool3d(p.movedim(-1, 0), 2) for p in points])
        return Pair(images, maps, origins)

    def _images(self, maps, source: Source, rng: np.random.Generator) -> Tensor:
        ranges = self.generator.contrast
        count = int(max(source.structures, maps.max())) + 1
        if source.typical is not None:
            count = max(count, len(source.typical))
        first = draw_means(count, ranges, rng, None)
        if source.typical is not None and rng.random() < self.known:
            offset = rng.normal(0, 2 * ranges.jitter, count)
            first = np.where(source.typical > 0, source.typical + offset, 0)
        near = first if rng.random() < ranges.alike else None
        second = draw_means(count, ranges, rng, near)
        return torch.stack(
            [
                draw_image(m, means, ranges, rng)
                for m, means in zip(maps, (first, second), strict=True)
            ]
        )


def one_hot(labels: np.ndarray | Tensor, structures: int, pool: int = 1) -> Tensor:
    """(N, D, H, W) maps to (N, structures, D, H, W) float32, label 0 left out.

    `pool` > 1: the share of each structure in blocks of that many voxels a side.
    """
    whole = torch.as_tensor(labels).to(torch.int64)
    numbers = torch.arange(1, structures + 1).view(1, -1, 1, 1, 1)
    hot = (whole[:, None] == numbers).float()
    return F.avg_pool3d(hot, pool) if pool > 1 else hot
