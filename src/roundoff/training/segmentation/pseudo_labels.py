"""Labels for an unlabelled head: a registered template, sharpened by its intensities.

The warped template says where each structure may be; a Gaussian mixture with a smooth
bias field (expectation maximisation, Van Leemput et al. 1999, Ashburner and Friston
2005) says where its tissue really is.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    gaussian_filter,
    label,
)
from torch import Tensor

from roundoff.training.segmentation.classes import load_classes
from roundoff.training.segmentation.registration import Alignment
from roundoff.training.segmentation.warps import grid_points, sample

# Structures that share one intensity distribution in T1 (both sides together).
_TISSUES = (
    ("Cerebral-Cortex",),
    ("Hippocampus", "Amygdala"),
    ("Cerebral-White-Matter",),
    ("Cerebellum-White-Matter",),
    ("Brain-Stem",),
    ("VentralDC",),
    ("Cerebellum-Cortex",),
    ("Thalamus",),
    ("Caudate", "Accumbens-area"),
    ("Putamen",),
    ("Pallidum",),
    ("Lateral-Ventricle", "3rd-Ventricle", "4th-Ventricle", "CSF"),
)
_FOLDED = ("Background", "Cerebral-Cortex", "Cerebral-White-Matter")
OUTSIDE = 3  # Gaussians of what surrounds the brain: fluid and bone, muscle, fat


@dataclass(frozen=True)
class Priors:
    """Warped template on a box of the head: probabilities (classes, D, H, W)."""

    values: np.ndarray
    box: tuple[slice, slice, slice]


def warp_priors(
    labels: np.ndarray,
    alignment: Alignment,
    origin: np.ndarray,
    shape: tuple[int, int, int],
    blur: tuple[float, float] = (1.0, 3.0),
) -> Priors:
    """Template class probabilities on the box of the head that holds the brain.

    `labels`: template classes at the spacing of the head, and twice that of the
    alignment, whose fixed grid starts at coarse voxel `origin`. `blur` in voxels says
    how far registration is trusted, for deep structures and for the folded ones.
    """
    points = _template_points(alignment, origin, shape)
    within = _bounds(labels > 0, 16)
    labels = labels[within]
    points = points - torch.tensor([s.start for s in within], dtype=torch.float32)
    volume = torch.from_numpy(labels)[None].float()
    box = _bounds(sample((volume > 0).float(), points)[0].numpy() > 0, 12)
    values = []
    for c in load_classes():
        sigma = blur[1] if c.structure in _FOLDED else blur[0]
        soft = gaussian_filter((labels == c.index).astype(np.float32), sigma)
        values.append(sample(torch.from_numpy(soft)[None], points[box])[0].numpy())
    # The template's cortex fills its sulci; those of a head hold fluid.
    cortex = [c.index for c in load_classes() if c.structure == "Cerebral-Cortex"]
    values[0] = np.clip(1 - sum(values[1:]), 0, 1)
    values[0] += 0.15 * sum(values[i] for i in cortex)
    stacked = np.stack(values)
    return Priors(stacked / np.maximum(stacked.sum(0), 1e-6), box)


def _bounds(mask: np.ndarray, margin: int) -> tuple[slice, slice, slice]:
    """Bounding box of a mask, widened by a margin within the array."""
    corners = np.argwhere(mask)
    low, high = corners.min(0) - margin, corners.max(0) + margin + 1
    return tuple(slice(max(int(a), 0), int(b)) for a, b in zip(low, high, strict=True))


def _template_points(alignment: Alignment, origin, shape) -> Tensor:
    """Fine template coordinates of every fine voxel of the head."""
    coarse_shape = tuple((n + 1) // 2 + 1 for n in shape)
    coarse = alignment.to_fixed(grid_points(coarse_shape))
    coarse = (coarse + torch.as_tensor(np.asarray(origin), dtype=torch.float32)) * 2
    return sample(coarse.movedim(-1, 0), grid_points(shape, 0.5)).movedim(0, -1)


def refine(
    image: np.ndarray, priors: Priors, passes: int = 3, iterations: int = 5
) -> np.ndarray:
    """Class of each voxel of the head (uint8, shape of `image`).

    After each pass of expectation maximisation the labels found, blurred, join the
    prior of the folded classes: cortex that registration missed grows back into its
    gyri, up to the dark fluid and bone around them.
    """
    intensity = np.log(np.maximum(image[priors.box].astype(np.float32), 4.0))
    basis = _polynomials(intensity.shape)
    values = priors.values
    for turn in range(passes):
        scores = _maximise(intensity, values, basis, iterations)
        if turn < passes - 1:
            values = _grow(priors.values, scores)
    out = np.zeros(image.shape, np.uint8)
    found = np.stack([gaussian_filter(s, 0.5) for s in scores]).argmax(0)
    out[priors.box] = np.where(_one_piece(found > 0), found, 0)
    return out


def _one_piece(brain: np.ndarray) -> np.ndarray:
    """The largest piece after opening: no islands in muscle or scalp."""
    pieces, _ = label(binary_erosion(brain, iterations=2))
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return brain & binary_dilation(largest, iterations=4)


def _maximise(intensity, values, basis, iterations: int) -> np.ndarray:
    """Posterior of each class after expectation maximisation."""
    tissues = _tissue_priors(values)
    brain = values[0] < 0.5
    posterior = tissues
    bias = np.zeros_like(intensity)
    for _ in range(iterations):
        corrected = intensity - bias
        means, variances = _moments(corrected, posterior)
        posterior = _posterior(corrected, tissues, means, variances)
        bias = _fit_bias(intensity, posterior, means, variances, basis, brain)
    likelihood = posterior / np.maximum(tissues, 1e-6)
    return _class_scores(values, likelihood)


def _grow(values: np.ndarray, scores: np.ndarray, reach: float = 2.5) -> np.ndarray:
    """Priors whose folded classes follow the scores as well as the template."""
    grown = values.copy()
    folded = [c.index for c in load_classes() if c.structure in _FOLDED]
    room = values[folded].sum(0)
    near = np.stack([gaussian_filter(scores[i], reach) for i in folded])
    near *= room / np.maximum(near.sum(0), 1e-6)
    grown[folded] = 0.4 * values[folded] + 0.6 * near
    return grown


def _members() -> list[list[int]]:
    """Class indices of each tissue, then (repeatedly) the background."""
    groups = [[c.index for c in load_classes() if c.structure in t] for t in _TISSUES]
    return groups + [[0]] * OUTSIDE


def _tissue_priors(values: np.ndarray) -> np.ndarray:
    groups = _members()
    stacked = np.stack([values[g].sum(0) for g in groups])
    stacked[-OUTSIDE:] /= OUTSIDE
    return stacked


def _moments(intensity: np.ndarray, posterior: np.ndarray):
    flat, weights = intensity.ravel(), posterior.reshape(len(posterior), -1)
    total = weights.sum(1) + 1e-3
    means = weights @ flat / total
    variances = weights @ flat**2 / total - means**2
    if np.allclose(means[-OUTSIDE:], means[-1]):  # first pass: spread them out
        means[-OUTSIDE:] = np.quantile(flat, np.linspace(0.02, 0.98, OUTSIDE))
    # Fluid and partial volume widen the grey matter and would push its border into
    # the white matter: hold it near the spread of the white matter.
    variances[0] = min(variances[0], 1.5 * variances[2])
    return means, np.maximum(variances, 0.03**2)


def _posterior(intensity, tissues, means, variances):
    out = np.empty_like(tissues)
    for k, (mean, variance) in enumerate(zip(means, variances, strict=True)):
        density = np.exp(-0.5 * (intensity - mean) ** 2 / variance)
        out[k] = tissues[k] * density / np.sqrt(variance) + 1e-12
    return out / out.sum(0)


def _fit_bias(intensity, posterior, means, variances, basis, brain):
    """Weighted least squares of the residual on low-order polynomials."""
    precision = (posterior / variances[:, None, None, None])[:-OUTSIDE]
    weight = precision.sum(0)[brain]
    expected = np.tensordot(means[:-OUTSIDE], precision, 1)[brain]
    residual = intensity[brain] - expected / np.maximum(weight, 1e-9)
    step = slice(None, None, 17)
    x, w = basis[:, brain].T[step], weight[step, None]
    ridge = 1e-3 * w.sum() * np.eye(x.shape[1])
    coefficients = np.linalg.solve(
        x.T @ (w * x) + ridge, x.T @ (w[:, 0] * residual[step])
    )
    return np.tensordot(coefficients.astype(np.float32), basis, 1)


def _polynomials(shape: tuple[int, ...], order: int = 3) -> np.ndarray:
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    powers = [
        (i, j, k)
        for i in range(order + 1)
        for j in range(order + 1 - i)
        for k in range(order + 1 - i - j)
        if i + j + k
    ]
    return np.stack(
        [x**i * y**j * z**k * np.ones(shape, np.float32) for i, j, k in powers]
    )


def _class_scores(values: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    scores = np.zeros_like(values)
    for k, group in enumerate(_members()):
        for c in group:
            share = 1 / OUTSIDE if c == 0 else 1
            scores[c] += share * values[c] * likelihood[k]
    return scores / np.maximum(scores.sum(0), 1e-9)
