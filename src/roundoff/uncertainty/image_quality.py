"""PSNR and SSIM of images in a known range, as arXiv 2601.17180 takes them."""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from roundoff.errors import RoundoffError

SIGMA, WINDOW = 1.5, 11  # pixels: Wang et al. 2004


def psnr(
    image: NDArray,
    reference: NDArray,
    data_range: float = 1.0,
    mask: NDArray[np.bool_] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB, 20 log10(range / sqrt(MSE)).

    `mask`: pixels to compare, all when left out. Infinite where they are identical.
    Raises `RoundoffError` for other shapes, NaN, or nothing to compare.
    """
    return psnr_of_error(mean_squared_error(image, reference, mask), data_range)


def mean_squared_error(
    image: NDArray, reference: NDArray, mask: NDArray[np.bool_] | None = None
) -> float:
    """Mean squared difference in double precision; see `psnr` for arguments."""
    _check(image, reference)
    error = (image.astype(np.float64) - reference) ** 2
    chosen = error if mask is None else error[mask]
    if chosen.size == 0:
        raise RoundoffError("image quality: the mask holds no pixel")
    return float(chosen.mean())


def psnr_of_error(mse: float, data_range: float = 1.0) -> float:
    """PSNR in dB of a mean squared error, for instance one pooled over slices."""
    return math.inf if mse == 0 else 10 * math.log10(data_range**2 / mse)


def ssim(image: NDArray, reference: NDArray, data_range: float = 1.0) -> float:
    """Structural similarity of two planes (H, W), mean over pixels.

    11 x 11 Gaussian window of standard deviation 1.5, K = (0.01, 0.03), population
    covariance (Wang et al. 2004); computed by scikit-image. Raises `RoundoffError`
    for other shapes, NaN, or planes smaller than the window.
    """
    _check(image, reference)
    if image.ndim != 2 or min(image.shape) < WINDOW:
        raise RoundoffError(
            f"SSIM: shape {image.shape}, expected planes of at least "
            f"{WINDOW} x {WINDOW} pixels"
        )
    value = structural_similarity(
        image.astype(np.float64),
        reference.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SIGMA,
        use_sample_covariance=False,
    )
    return float(value)


def _check(image: NDArray, reference: NDArray) -> None:
    if image.shape != reference.shape:
        raise RoundoffError(
            f"image quality: shapes {image.shape} and {reference.shape} differ"
        )
    if not (np.isfinite(image).all() and np.isfinite(reference).all()):
        raise RoundoffError(
            "image quality: an image has NaN or infinite pixels; say first what they "
            "mean (roundoff.nan.policy.clean_image)"
        )
