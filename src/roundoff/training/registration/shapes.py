"""Label maps without anatomy: random blobs in a random ellipsoid."""

import numpy as np
import torch

from roundoff.training.segmentation.warps import resize_field

LABELS = 16
KNOTS = (3, 8)  # coarseness of the fields, per axis


def draw_shapes(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    count: int = LABELS,
    knots: tuple[int, int] = KNOTS,
) -> np.ndarray:
    """A map of `count` blobs, uint8 of that shape, 0 outside an ellipsoid.

    Each voxel gets the label whose smooth random field is largest there (the
    "shapes" of SynthMorph: Hoffmann et al. 2022, doi 10.1109/TMI.2021.3116879). The
    ellipsoid stands for a head in air.
    """
    best = torch.full(shape, -torch.inf)
    labels = torch.zeros(shape, dtype=torch.uint8)
    for label in range(1, count + 1):
        cells = tuple(int(rng.integers(knots[0], knots[1] + 1)) for _ in shape)
        values = torch.from_numpy(rng.standard_normal((1, *cells), np.float32))
        field = resize_field(values, shape)[0]
        labels[field > best] = label
        best = torch.maximum(best, field)
    labels[_ellipsoid(shape, rng) > 1] = 0
    return labels.numpy()


def _ellipsoid(shape: tuple[int, int, int], rng: np.random.Generator) -> torch.Tensor:
    """Squared distance from a centre in random radii, with a wavy border."""
    axes = []
    for size in shape:
        middle = size / 2 + rng.uniform(-0.05, 0.05) * size
        radius = rng.uniform(0.38, 0.5) * size
        axes.append((torch.arange(size, dtype=torch.float32) - middle) / radius)
    a, b, c = torch.meshgrid(*axes, indexing="ij")
    waves = torch.from_numpy(rng.uniform(0.8, 1.2, (1, 4, 4, 4)).astype(np.float32))
    return (a * a + b * b + c * c) * resize_field(waves, shape)[0]
