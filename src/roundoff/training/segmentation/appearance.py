"""Random contrasts and artefacts. Volumes (D, H, W) float32, brain near 0.6, air 0."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.training.segmentation.classes import load_classes
from roundoff.training.segmentation.warps import gaussian_blur, resize_field

HEAD_TISSUES = 4  # intensity groups of what lies outside the brain


@dataclass(frozen=True)
class Appearance:
    """Probabilities and ranges of the random appearance."""

    synthetic: float = 0.25  # probability of an image drawn from the labels alone
    recontrast: float = 0.6  # probability that each structure gets an offset
    offset: float = 0.06  # standard deviation of that offset
    gamma: float = 0.3  # log range
    bias: float = 0.35  # log range of the bias field
    noise: float = 0.05  # largest standard deviation
    blur: float = 0.8  # largest sigma, voxels
    thick: float = 0.15  # probability of thick slices
    strip: float = 0.3  # probability of a skull-stripped head
    cut: float = 0.5  # probability of a defacing or field-of-view cut
    gain: tuple[float, float] = (0.5, 1.25)  # of the brain's brightness


def head_tissues(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels with the non-brain voxels split by intensity: classes, then groups.

    Group 0 (air) keeps label 0; others follow the last class. uint8, same shape.
    """
    out = labels.copy()
    outside = (labels == 0) & (image > 0)
    edges = np.quantile(image[outside], [0.3, 0.6, 0.85]) if outside.any() else [0] * 3
    group = np.digitize(image, edges)
    first = len(load_classes())
    out[outside] = (first + group[outside] - 1).clip(first - 1)
    out[outside & (group == 0)] = 0
    return out


def structure_numbers() -> np.ndarray:
    """For each class and head tissue, a number shared by both sides."""
    sagittal = [c.sagittal_index for c in load_classes()]
    extra = np.arange(HEAD_TISSUES - 1) + max(sagittal) + 1
    return np.concatenate([sagittal, extra])


def recontrast(volume: Tensor, tissues: Tensor, rng, spread: float) -> Tensor:
    """Shift the mean intensity of every structure by its own random offset."""
    numbers = structure_numbers()
    offsets = rng.normal(0, spread, numbers.max() + 1).astype(np.float32)
    offsets[0] = 0
    field = torch.from_numpy(offsets[numbers])[tissues.long()]
    field = gaussian_blur(field[None], 0.6)[0]
    return (volume + field * (volume > 0.02)).clamp_min(0)


# Plausible T1 means of: fluid, grey matter, deep grey matter, white matter.
_MEANS = {"fluid": 0.15, "grey": 0.42, "deep": 0.5, "white": 0.62}
_KIND = {
    "Lateral-Ventricle": "fluid",
    "3rd-Ventricle": "fluid",
    "4th-Ventricle": "fluid",
    "CSF": "fluid",
    "Cerebral-White-Matter": "white",
    "Cerebellum-White-Matter": "white",
    "Brain-Stem": "white",
    "Pallidum": "white",
    "VentralDC": "white",
    "Thalamus": "deep",
    "Caudate": "grey",
    "Putamen": "deep",
}


def synthesise(tissues: Tensor, rng: np.random.Generator) -> Tensor:
    """An image drawn from the labels: one Gaussian per structure (Billot et al. 2023),
    with means near those of T1 so that few steps of training suffice."""
    numbers = structure_numbers()
    count = numbers.max() + 1
    means = rng.uniform(0.05, 1.0, count).astype(np.float32)
    kinds = {k: v + rng.normal(0, 0.06) for k, v in _MEANS.items()}
    for c in load_classes()[1:]:
        kind = _KIND.get(c.structure, "grey")
        means[c.sagittal_index] = kinds[kind] + rng.normal(0, 0.03)
    means[0] = rng.choice([0.0, 0.03])
    spreads = rng.uniform(0.01, 0.06, count).astype(np.float32)
    table = numbers[tissues.numpy()]
    noise = rng.standard_normal(table.shape, np.float32)
    drawn = torch.from_numpy(means[table] + spreads[table] * noise)
    return gaussian_blur(drawn[None], float(rng.uniform(0.3, 0.7)))[0].clamp_min(0)


def bias_field(shape: tuple[int, ...], rng, spread: float) -> Tensor:
    """Smooth positive multiplicative field around 1."""
    knots = int(rng.integers(2, 6))
    amplitude = rng.uniform(0, spread)
    coarse = rng.uniform(-amplitude, amplitude, (1, knots, knots, knots))
    return torch.exp(resize_field(torch.from_numpy(coarse).float(), tuple(shape))[0])


def thick_slices(volume: Tensor, rng: np.random.Generator) -> Tensor:
    """Lose resolution along one axis, as an anisotropic acquisition does."""
    axis, factor = int(rng.integers(3)), float(rng.uniform(1.3, 2.2))
    small = list(volume.shape)
    small[axis] = max(2, round(small[axis] / factor))
    low = F.interpolate(volume[None, None], tuple(small), mode="area")
    return F.interpolate(low, volume.shape, mode="trilinear", align_corners=False)[0, 0]


def strip_skull(volume: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Zero what lies outside the brain and a random margin of it."""
    brain = (labels > 0).float()[None]
    closed = gaussian_blur(brain, 2.0)[0] > rng.uniform(0.15, 0.45)
    return volume * closed


def cut_away(volume: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Zero a half space that touches no brain: a defaced or cropped image.

    Axes run left, inferior, anterior (LIA).
    """
    normal = np.array([rng.normal(0, 0.4), rng.uniform(0, 1), rng.uniform(-0.3, 1)])
    normal = torch.from_numpy(normal / np.linalg.norm(normal)).float()
    axes = [torch.arange(n, dtype=torch.float32) for n in volume.shape]
    height = sum(
        n * a for n, a in zip(normal, torch.meshgrid(*axes, indexing="ij"), strict=True)
    )
    brain = labels > 0
    if not brain.any():
        return volume
    limit = height[brain].max() + float(rng.uniform(1, 20))
    return torch.where(height <= limit, volume, torch.zeros(()))


def alter(
    volume: Tensor, labels: Tensor, tissues: Tensor, rng, ranges: Appearance
) -> Tensor:
    """Random contrast, field, noise and cuts; `volume` has the brain near 0.6."""
    if rng.random() < ranges.synthetic:
        drawn = synthesise(tissues, rng)
        share = rng.uniform(0, 0.5)
        volume = share * volume + (1 - share) * drawn
    elif rng.random() < ranges.recontrast:
        volume = recontrast(volume, tissues, rng, rng.uniform(0, 2) * ranges.offset)
    volume = gaussian_blur(volume[None], float(rng.uniform(0, ranges.blur) - 0.3))[0]
    if rng.random() < ranges.thick:
        volume = thick_slices(volume, rng)
    volume = 0.6 * (volume / 0.6) ** float(np.exp(rng.uniform(-1, 1) * ranges.gamma))
    volume = volume * bias_field(volume.shape, rng, ranges.bias)
    level = float(rng.uniform(0, ranges.noise))
    noise = rng.standard_normal(tuple(volume.shape), np.float32) * level
    volume = (volume + torch.from_numpy(noise)).abs()
    if rng.random() < ranges.strip:
        volume = strip_skull(volume, labels, rng)
    elif rng.random() < ranges.cut:
        volume = cut_away(volume, labels, rng)
    return volume * float(rng.uniform(*ranges.gain))
