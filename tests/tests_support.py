"""Data made for tests."""

import numpy as np


def phantom(shape=(40, 48, 44), seed=0):
    """A head-like volume: an ellipsoid with a textured inside, air around it."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1.2, 1.2, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = x**2 + y**2 + z**2 < 1
    values = 300 + 200 * np.cos(3 * x) + 60 * y + 20 * rng.standard_normal(shape)
    return np.where(inside, values, 0).astype(np.int16)
