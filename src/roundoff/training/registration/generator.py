"""SynthMorph's generative model: a label map becomes a deformed image and map.

Hoffmann et al. 2022, doi 10.1109/TMI.2021.3116879. Every draw is a function of the
generator handed in, so that a sample is the same wherever it is drawn.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from roundoff.training.registration.noise import perlin
from roundoff.training.segmentation.deformation import Deformations, random_matrix
from roundoff.training.segmentation.warps import (
    exponential,
    gaussian_blur,
    grid_points,
    resize_field,
    sample,
)

FULL = 255.0  # the scale on which intensities are drawn


@dataclass(frozen=True)
class Geometry:
    """Random deformation of a label map; lengths in voxels, angles in degrees.

    `velocity`: largest deviation of the velocity field's Perlin noise, `scale` its
    grid, both at half resolution. The affine ranges are 0 in SynthMorph, whose
    brains are aligned beforehand. `flip`: probability of a mirror image per axis.
    """

    velocity: float = 0.5
    scale: float = 16.0
    int_steps: int = 5
    rotation: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    flip: float = 0.5


@dataclass(frozen=True)
class Contrast:
    """Random appearance of a label map; intensities on a scale of 0 to 255.

    `alike`: probability that both images of a pair have the same means, up to
    `jitter` (0 in SynthMorph: each image has its own). `blur` in voxels.
    """

    mean: tuple[float, float] = (25.0, 225.0)
    background: tuple[float, float] = (0.0, 225.0)
    deviation: tuple[float, float] = (5.0, 25.0)
    zero_background: float = 0.2
    blur: float = 1.0
    bias: float = 0.3
    bias_scale: float = 40.0
    gamma: float = 0.25
    alike: float = 0.0
    jitter: float = 8.0


@dataclass(frozen=True)
class Generator:
    """Ranges of the whole model; the defaults are SynthMorph's."""

    geometry: Geometry = field(default_factory=Geometry)
    contrast: Contrast = field(default_factory=Contrast)


def random_displacement(
    shape: tuple[int, int, int], ranges: Geometry, rng: np.random.Generator
) -> Tensor:
    """Displacement (3, D, H, W), voxels, of a random velocity at half resolution."""
    half = tuple(max(2, n // 2) for n in shape)
    deviation = rng.uniform(0, ranges.velocity)
    velocity = perlin(half, ranges.scale, deviation, rng, channels=3)
    return resize_field(2 * exponential(velocity, ranges.int_steps), shape)


def random_points(
    shape: tuple[int, int, int], ranges: Geometry, rng: np.random.Generator
) -> Tensor:
    """Where each voxel of the deformed map comes from: (D, H, W, 3), voxels."""
    affine = Deformations(
        rotation=ranges.rotation,
        scale=ranges.zoom,
        stretch=ranges.zoom / 2,
        shear=ranges.shear,
    )
    matrix = torch.from_numpy(random_matrix(rng, affine)).float()
    shift = torch.from_numpy(rng.uniform(-1, 1, 3) * ranges.shift).float()
    middle = (torch.tensor(shape, dtype=torch.float32) - 1) / 2
    moved = grid_points(shape) - middle
    moved = moved + random_displacement(shape, ranges, rng).movedim(0, -1)
    return moved @ matrix.T + middle + shift


def warp_map(labels: np.ndarray, points: Tensor) -> np.ndarray:
    """A label map seen at `points`, by nearest neighbour; 0 outside it."""
    volume = torch.from_numpy(labels.astype(np.float32))[None]
    return sample(volume, points, "nearest")[0].to(torch.uint8).numpy()


def draw_means(
    count: int, ranges: Contrast, rng: np.random.Generator, near: np.ndarray | None
) -> np.ndarray:
    """Mean intensity (0-255) of `count` labels, label 0 being the background.

    `near`: means of the other image, to stay within `jitter` of.
    """
    if near is not None:
        return np.where(near > 0, near + rng.normal(0, ranges.jitter, count), 0)
    means = rng.uniform(*ranges.mean, count)
    background = rng.uniform(*ranges.background)
    means[0] = 0 if rng.random() < ranges.zero_background else background
    return means


def draw_image(
    labels: np.ndarray, means: np.ndarray, ranges: Contrast, rng: np.random.Generator
) -> Tensor:
    """An image (D, H, W) float32 in 0-1 with these means (0-255) of the labels.

    Noise per label, blur, bias field, clip, minimum and maximum to 0 and 1, gamma.
    """
    spread = rng.uniform(*ranges.deviation, len(means)).astype(np.float32)
    if means[0] == 0:
        spread[0] = 0
    drawn = means.astype(np.float32)[labels]
    drawn += spread[labels] * rng.standard_normal(labels.shape, np.float32)
    image = gaussian_blur(torch.from_numpy(drawn)[None], rng.uniform(0, ranges.blur))
    deviation = rng.uniform(0, ranges.bias)
    image = image * perlin(labels.shape, ranges.bias_scale, deviation, rng).exp()
    image = unit_range(image[0].clamp(0, FULL))
    return image ** float(np.exp(rng.normal(0, ranges.gamma)))


def unit_range(image: Tensor) -> Tensor:
    """Minimum to 0 and maximum to exactly 1; a constant image gives zeros."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else torch.zeros_like(image)


def mirror_axes(ranges: Geometry, rng: np.random.Generator) -> tuple[int, ...]:
    """Axes along which both images of a pair are mirrored."""
    return tuple(np.flatnonzero(rng.random(3) < ranges.flip).tolist())
