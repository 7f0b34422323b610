"""Noisy patches of slices with their clean middle slice, in three directions."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roundoff.models.fondue.pipeline import ORDERS
from roundoff.training.denoising.noise import LARGEST, add_noise, scale_pair

CONTENT = 0.08  # least mean of a patch, of the range: less is mostly air


@dataclass(frozen=True)
class Batches:
    """Random patches: a function of (seed, step) alone.

    `volumes` (N, D, H, W) uint8, all sides at least `patch` and `channels` voxels.
    The channels are neighbouring slices, the middle one is to be denoised.
    """

    volumes: np.ndarray
    size: int = 2
    patch: int = 96
    channels: int = 7
    seed: int = 0

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Noisy (size, channels, patch, patch) and clean (size, 1, patch, patch), 0-1.

        The standard deviation of the noise is uniform in 0-9/255 for each patch.
        """
        rng = np.random.default_rng([self.seed, step])
        pairs = [self._pair(rng) for _ in range(self.size)]
        noisy, clean = (torch.from_numpy(np.stack(x)) for x in zip(*pairs, strict=True))
        return noisy, clean

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        clean = self._block(rng)
        sd = rng.uniform(0, LARGEST)
        noisy = add_noise(clean, sd, rng)
        clean, noisy = scale_pair(clean, noisy, sd, self.volumes[0].size)
        middle = self.channels // 2
        return noisy, clean[middle, None]

    def _block(self, rng: np.random.Generator, tries: int = 20) -> np.ndarray:
        """Neighbouring slices of one volume with enough of the head in them."""
        for _ in range(tries):
            volume = self.volumes[rng.integers(len(self.volumes))]
            turned = volume.transpose(list(ORDERS.values())[rng.integers(len(ORDERS))])
            sizes = (self.channels, self.patch, self.patch)
            start = [
                rng.integers(n - s + 1)
                for n, s in zip(turned.shape, sizes, strict=True)
            ]
            box = tuple(slice(a, a + s) for a, s in zip(start, sizes, strict=True))
            block = turned[box]
            if block.mean() >= CONTENT * 255:
                break
        flips = tuple(np.flatnonzero(rng.random(3) < 0.5))
        return np.ascontiguousarray(np.flip(block, flips))
