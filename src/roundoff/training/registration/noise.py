"""Smooth random fields: the Perlin noise of SynthMorph."""

from math import ceil

import numpy as np
import torch
from torch import Tensor

from roundoff.training.segmentation.warps import resize_field


def perlin(
    shape: tuple[int, ...],
    scale: float,
    deviation: float,
    rng: np.random.Generator,
    channels: int = 1,
) -> Tensor:
    """Normal noise drawn on a grid `scale` times coarser, resized linearly.

    `deviation`: of the noise on the coarse grid; between its knots the field varies
    less. Returns (channels, *shape) float32, a function of `rng` alone.
    """
    knots = tuple(max(2, ceil(n / scale)) for n in shape)
    coarse = rng.standard_normal((channels, *knots), np.float32) * deviation
    return resize_field(torch.from_numpy(coarse.astype(np.float32)), tuple(shape))
