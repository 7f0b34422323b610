"""PSNR and SSIM against their definitions."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from roundoff.errors import RoundoffError
from roundoff.uncertainty.image_quality import psnr, psnr_of_error, ssim


def pair(shape=(24, 31)):
    rng = np.random.default_rng(0)
    reference = gaussian_filter(rng.random(shape), 2).astype(np.float32)
    noise = 0.01 * rng.standard_normal(shape)
    return (reference + noise).astype(np.float32), reference


def test_psnr_by_hand():
    reference = np.zeros((4, 4), np.float32)
    assert psnr(reference + 0.1, reference) == pytest.approx(20, abs=1e-5)
    assert psnr(reference + 25.5, reference, 255.0) == pytest.approx(20, abs=1e-5)
    assert psnr(reference, reference) == math.inf
    assert psnr_of_error(0.01) == pytest.approx(20)


def test_psnr_within_a_mask():
    reference = np.zeros((4, 4), np.float32)
    image = reference.copy()
    image[0, 0] = 0.1
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    assert psnr(image, reference, mask=mask) == pytest.approx(10 * math.log10(400))
    with pytest.raises(RoundoffError, match="no pixel"):
        psnr(image, reference, mask=np.zeros((4, 4), bool))


def test_ssim_by_its_formula():
    """Wang et al. 2004, equation 13, with a Gaussian window of radius 5."""

    def smooth(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    a, b = (x.astype(np.float64) for x in pair())
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    cov = smooth(a * b) - mean_a * mean_b
    full = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    full /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(a, b) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)
    assert ssim(a, a) == pytest.approx(1)


@pytest.mark.parametrize(
    ("function", "change", "words"),
    [
        (psnr, lambda a: a[:-1], "differ"),
        (ssim, lambda a: np.where(a == a.max(), np.nan, a), "NaN"),
    ],
)
def test_bad_images(function, change, words):
    image, reference = pair()
    with pytest.raises(RoundoffError, match=words):
        function(change(image), reference)


def test_ssim_needs_planes_of_the_windows_size():
    small = np.zeros((8, 40), np.float32)
    with pytest.raises(RoundoffError, match="11 x 11"):
        ssim(small, small)
