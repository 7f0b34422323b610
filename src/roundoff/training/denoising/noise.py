"""Gaussian noise as the denoiser meets it: added, then scaled with the volume."""

import numpy as np
from scipy.stats import norm

LARGEST = 9.0
"""Largest standard deviation, on the scale 0-255, of FONDUE's training."""


def add_noise(clean: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Independent Gaussian noise of that standard deviation (same unit), float32."""
    noise = rng.standard_normal(clean.shape, np.float32)
    return clean.astype(np.float32) + np.float32(sd) * noise


def scale_pair(
    clean: np.ndarray, noisy: np.ndarray, sd: float, voxels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both images (0-255) on the scale 0-1 of a noisy volume of that many voxels.

    The denoiser scales a volume from its minimum to its maximum, which noise moves:
    by the expected extreme of so many draws, here used instead of a volume's own.
    """
    reach = sd * float(norm.isf(1 / voxels)) if sd > 0 else 0.0
    low, high = -reach, max(float(clean.max()), 255.0) + reach / 2
    scale = np.float32(1 / (high - low))
    return (clean.astype(np.float32) - low) * scale, (noisy - low) * scale
