"""Thick slices out of a pool of labelled volumes, each with a number of its own."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from roundoff.models.fastsurfer.views import View
from roundoff.training.segmentation.classes import sagittal_expansion


@dataclass(frozen=True)
class Slices:
    """Random slices of one view: functions of (seed, number) alone.

    `images`, `labels`: (V, D, H, W) uint8 (arrays or memory maps). Windows of `window`
    pixels (None: the whole slice) are placed so that they meet the brain. `classes`:
    the class each label is learnt as; None: itself, without sides in the sagittal view.
    """

    images: np.ndarray
    labels: np.ndarray
    view: View
    window: int | None = 96
    channels: int = 7
    seed: int = 0
    classes: tuple[int, ...] | None = None

    @property
    def table(self) -> Tensor:
        """Class of every label."""
        if self.classes is not None:
            return torch.tensor(self.classes)
        expansion = torch.tensor(sagittal_expansion())
        return (
            expansion if self.view.name == "sagittal" else torch.arange(len(expansion))
        )

    def draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Slice (channels, H, W) float32 in 0-1 and labels (H, W) int64."""
        rng = np.random.default_rng([self.seed, number])
        volume = int(rng.integers(len(self.images)))
        image = torch.from_numpy(np.array(self.images[volume]))
        labels = torch.from_numpy(np.array(self.labels[volume]))
        chosen = torch.tensor([self._slice(rng, labels)])
        stack = self.view.slices(image, chosen, self.channels)[0].float()
        truth = self.table[self.view.slices(labels, chosen, 1)[0, 0].long()]
        stack, truth = self._crop(rng, stack, truth)
        gain = float(np.exp(rng.uniform(-0.1, 0.1)))
        return (stack / 255 * gain).clamp(0, 1), truth

    def _slice(self, rng: np.random.Generator, labels: Tensor) -> int:
        """Nine in ten slices meet the brain or its surroundings, one is any."""
        axis = self.view.order[2]
        total = labels.shape[axis]
        if rng.random() >= 0.9:
            return int(rng.integers(total))
        others = tuple(a for a in range(3) if a != axis)
        meets = np.flatnonzero(labels.numpy().any(axis=others))
        return int(rng.integers(max(meets[0] - 4, 0), min(meets[-1] + 5, total)))

    def _crop(self, rng, stack: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        if self.window is None:
            return stack, truth
        where = torch.nonzero(truth)
        window = []
        for axis, size in enumerate(truth.shape):
            middle = float(where[:, axis].float().mean()) if len(where) else size / 2
            start = int(middle - self.window / 2 + rng.integers(-16, 17))
            start = max(min(start, size - self.window), 0)
            window.append(slice(start, start + self.window))
        rows, columns = window
        return stack[..., rows, columns], truth[rows, columns]
