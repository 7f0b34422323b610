"""Batches of thick slices out of a pool of labelled volumes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roundoff.models.fastsurfer.views import View
from roundoff.training.segmentation.classes import sagittal_expansion


@dataclass(frozen=True)
class Batches:
    """Random slices of one view: a function of (seed, step) alone.

    `images`, `labels`: (N, D, H, W) uint8 (arrays or memory maps). Half the slices of a
    batch come from one volume, half from another; windows of `window` pixels (None:
    the whole slice) are placed so that they meet the brain.
    """

    images: np.ndarray
    labels: np.ndarray
    view: View
    size: int = 8
    window: int | None = 96
    channels: int = 7
    seed: int = 0

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Slices (N, channels, H, W) float32 in 0-1 and labels (N, H, W) int64."""
        rng = np.random.default_rng([self.seed, step])
        parts = [self._part(rng, n) for n in self._shares()]
        images, labels = (torch.cat(p) for p in zip(*parts, strict=True))
        gain = torch.from_numpy(np.exp(rng.uniform(-0.1, 0.1, (len(images), 1, 1, 1))))
        return (images / 255 * gain.float()).clamp(0, 1), labels

    def _shares(self) -> list[int]:
        half = self.size // 2
        return [n for n in (half, self.size - half) if n]

    def _part(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        number = int(rng.integers(len(self.images)))
        image = torch.from_numpy(np.array(self.images[number]))
        labels = torch.from_numpy(np.array(self.labels[number]))
        chosen = torch.from_numpy(self._slices(rng, labels, count))
        stacks = self.view.slices(image, chosen, self.channels).float()
        truth = self.view.slices(labels, chosen, 1)[:, 0].long()
        if self.view.name == "sagittal":
            truth = torch.tensor(sagittal_expansion())[truth]
        return self._crop(rng, stacks, truth)

    def _slices(self, rng, labels: Tensor, count: int) -> np.ndarray:
        """Nine in ten slices meet the brain or its surroundings, one is any."""
        axis = self.view.order[2]
        others = tuple(a for a in range(3) if a != axis)
        meets = np.flatnonzero(labels.numpy().any(axis=others))
        total = labels.shape[axis]
        low, high = max(meets[0] - 4, 0), min(meets[-1] + 5, total)
        near = rng.integers(low, high, count)
        return np.where(rng.random(count) < 0.9, near, rng.integers(0, total, count))

    def _crop(self, rng, stacks: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        if self.window is None:
            return stacks, truth
        where = torch.nonzero(truth.sum(0))
        window = []
        for axis in (0, 1):
            size = truth.shape[axis + 1]
            middle = float(where[:, axis].float().mean()) if len(where) else size / 2
            start = int(middle - self.window / 2 + rng.integers(-16, 17))
            start = max(min(start, size - self.window), 0)
            window.append(slice(start, start + self.window))
        rows, columns = window
        return stacks[..., rows, columns], truth[..., rows, columns]
