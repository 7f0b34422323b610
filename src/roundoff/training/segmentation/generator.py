"""The generator of training volumes: a labelled head in, a random labelled head out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from roundoff.training.segmentation.appearance import Appearance, alter, head_tissues
from roundoff.training.segmentation.classes import load_classes, mirror_table
from roundoff.training.segmentation.deformation import Deformations, random_points
from roundoff.training.segmentation.warps import sample


@dataclass(frozen=True)
class Head:
    """A labelled head: image and class indices, uint8, 1 mm, orientation LIA."""

    name: str
    image: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.image.shape != self.labels.shape:
            raise ValueError(
                f"head {self.name!r}: image {self.image.shape} and labels "
                f"{self.labels.shape} differ in shape; conform both to one grid"
            )
        if not self.labels.any():
            raise ValueError(f"head {self.name!r}: the labels are all background")

    @cached_property
    def tissues(self) -> np.ndarray:
        """Labels with the rest of the head split by intensity."""
        return head_tissues(self.image, self.labels)

    @cached_property
    def smooth(self) -> np.ndarray:
        """The image blurred as conforming to 2 mm blurs it (float32)."""
        return gaussian_filter(self.image.astype(np.float32), 0.5)

    @cached_property
    def brightness(self) -> float:
        """Median intensity of the white matter (of the brain if it has none)."""
        names = {c.index for c in load_classes() if "White" in c.name}
        white = self.image[np.isin(self.labels, list(names))]
        return float(np.median(white if white.size else self.image[self.labels > 0]))

    @cached_property
    def centre(self) -> np.ndarray:
        """Middle of the brain's bounding box, in voxels."""
        where = np.argwhere(self.labels > 0)
        return (where.min(0) + where.max(0)) / 2


@dataclass(frozen=True)
class Generator:
    """Draws random volumes, a function of (seed, number) alone.

    `shape` and `mm`: the grid of the network (128 x 128 x 128, 2 mm).
    """

    heads: Sequence[Head]
    shape: tuple[int, int, int] = (128, 128, 128)
    mm: float = 2.0
    seed: int = 0
    deformations: Deformations = field(default_factory=Deformations)
    appearance: Appearance = field(default_factory=Appearance)

    def draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Volume `number`: image and class indices, uint8, of `shape`."""
        rng = np.random.default_rng([self.seed, number])
        head = self.heads[number % len(self.heads)]
        points, mirrored = random_points(
            rng, self.shape, self.mm, self._centre(head, rng), self.deformations
        )
        volume = _look_up(head.smooth, points, "bilinear") * (0.62 / head.brightness)
        tissues = _look_up(head.tissues, points, "nearest").to(torch.uint8)
        labels = torch.where(tissues < len(load_classes()), tissues, 0).to(torch.uint8)
        image = alter(volume, labels, tissues, rng, self.appearance)
        classes = mirror_table()[labels.numpy()] if mirrored else labels.numpy()
        return (image * 255).round().clamp(0, 255).to(torch.uint8).numpy(), classes

    def _centre(self, head: Head, rng: np.random.Generator) -> np.ndarray:
        """Between the middle of the image and of the brain: both kinds occur."""
        share = rng.random()
        return share * np.array(head.image.shape) / 2 + (1 - share) * head.centre


def _look_up(volume: np.ndarray, points: torch.Tensor, mode: str) -> torch.Tensor:
    return sample(torch.from_numpy(volume).float()[None], points, mode)[0]
