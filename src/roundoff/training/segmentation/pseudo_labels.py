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
        likelihood = _maximise(intensity, values, basis, iterations)
        if turn < passes - 1:
            values = _grow(priors.values, values, likelihood)
    found = _most_probable(values, likelihood)
    out = np.zeros(image.shape, np.uint8)
    out[priors.box] = np.where(_one_piece(found > 0), found, 0)
    return out


def _most_probable(values: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Class of the highest posterior, smoothed a little; one class at a time."""
    best = np.zeros(values.shape[1:], np.float32)
    found = np.zeros(values.shape[1:], np.uint8)
    for c in range(len(values)):
        score = gaussian_filter(_posterior_of(c, values, likelihood), 0.5)
        better = score > best
        best[better], found[better] = score[better], c
    return found


def _one_piece(brain: np.ndarray) -> np.ndarray:
    """The largest piece after opening: no islands in muscle or scalp."""
    pieces, _ = label(binary_erosion(brain, iterations=2))
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return brain & binary_dilation(largest, iterations=4)


def _maximise(intensity, values, basis, iterations: int) -> np.ndarray:
    """Likelihood of each tissue over the evidence, after expectation maximisation."""
    tissues = _tissue_priors(values)
    brain = values[0] < 0.5
    posterior = tissues
    bias = np.zeros_like(intensity)
    for _ in range(iterations):
        corrected = intensity - bias
        means, variances = _moments(corrected, posterior)
        posterior = _posterior(corrected, tissues, means, variances)
        bias = _fit_bias(intensity, posterior, means, variances, basis, brain)
    return posterior / np.maximum(tissues, np.float32(1e-6))


def _posterior_of(c: int, values: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Posterior of one class: its prior times the likelihood of its tissue."""
    tissue = next(k for k, members in enumerate(_members()) if c in members)
    if c == 0:
        return values[0] * likelihood[-OUTSIDE:].mean(0)
    return values[c] * likelihood[tissue]


def _grow(
    template: np.ndarray, values: np.ndarray, likelihood: np.ndarray, reach: float = 2.5
) -> np.ndarray:
    """Template priors whose folded classes follow the posterior as well."""
    folded = [c.index for c in load_classes() if c.structure in _FOLDED]
    near = np.stack(
        [gaussian_filter(_posterior_of(c, values, likelihood), reach) for c in folded]
    )
    near *= template[folded].sum(0) / np.maximum(near.sum(0), 1e-6)
    grown = template.copy()
    grown[folded] = 0.4 * template[folded] + 0.6 * near
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
        # Python floats: NumPy scalars would make double-precision arrays of these.
        density = np.exp((intensity - float(mean)) ** 2 * float(-0.5 / variance))
        out[k] = tissues[k] * density * float(variance**-0.5) + 1e-12
    out /= out.sum(0)
    return out


def _fit_bias(intensity, posterior, means, variances, basis, brain):
    """Weighted least squares of the residual on low-order polynomials."""
    thinned = np.flatnonzero(brain)[::17]
    precision = posterior[:-OUTSIDE].reshape(len(means) - OUTSIDE, -1)[:, thinned]
    precision = precision / variances[:-OUTSIDE, None]
    weight = precision.sum(0)
    expected = means[:-OUTSIDE] @ precision / np.maximum(weight, 1e-9)
    residual = intensity.ravel()[thinned] - expected
    x, w = basis.reshape(len(basis), -1)[:, thinned].T, weight[:, None]
    ridge = 1e-3 * w.sum() * np.eye(x.shape[1])
    coefficients = np.linalg.solve(x.T @ (w * x) + ridge, x.T @ (weight * residual))
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
