"""Are the samples normal? The check to show beside CNH numbers."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

CRITICAL = 0.752  # 5 % point of the corrected statistic, mean and variance estimated
SMALLEST = 8  # fewer samples: the correction does not hold


def anderson_darling(samples: NDArray) -> NDArray[np.float64]:
    """Corrected Anderson-Darling statistic A*^2 per voxel, samples (N, V) -> (V,).

    Mean and variance estimated from the samples; small-sample correction
    A^2 (1 + 0.75/N + 2.25/N^2) (D'Agostino and Stephens 1986, case 4). NaN where the
    samples do not vary.
    """
    n = len(samples)
    x = np.sort(samples, axis=0).astype(np.float64)
    sd = x.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(sd > 0, (x - x.mean(axis=0)) / sd, np.nan)
    weight = (2 * np.arange(1, n + 1) - 1)[:, None]
    a2 = -n - (weight * (log_ndtr(z) + log_ndtr(-z[::-1]))).mean(axis=0)
    return a2 * (1 + 0.75 / n + 2.25 / n**2)


def not_normal(samples: NDArray) -> NDArray[np.bool_]:
    """Where normality is rejected at 5 % (all False below 8 samples), (N, V) -> (V,).

    Normal samples are rejected in 5 % of voxels; a much larger share means that the
    CNH number rests on an assumption that does not hold there.
    """
    if len(samples) < SMALLEST:
        return np.zeros(samples.shape[1], bool)
    with np.errstate(invalid="ignore"):
        return anderson_darling(samples) > CRITICAL
