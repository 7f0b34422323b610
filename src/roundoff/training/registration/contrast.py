"""Two images of random contrast from two label maps."""

import numpy as np
import torch
from torch import Tensor

from roundoff.training.segmentation.appearance import bias_field
from roundoff.training.segmentation.warps import gaussian_blur

LOW, HIGH = 0.1, 0.9  # of the mean intensity of a label
ALIKE = 0.9  # probability that both images have nearly the same contrast


def draw_means(
    labels: int, rng: np.random.Generator, typical: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean intensity of each label (0 first) in the moving and in the fixed image.

    SynthMorph draws both alone; here most pairs share a contrast up to an offset
    per label, as scans of one kind do. `typical`: means to stay near in most of them.
    """
    first = rng.uniform(LOW, HIGH, labels)
    if typical is not None and rng.random() < 0.8:
        first = typical + rng.normal(0, 0.06, labels)
    if rng.random() < ALIKE:
        second = first + rng.normal(0, 0.03, labels)
    else:
        second = rng.uniform(LOW, HIGH, labels)
    first[0] = second[0] = 0
    return first.clip(0, 1), second.clip(0, 1)


def draw_image(labels: np.ndarray, means: np.ndarray, rng) -> Tensor:
    """An image (D, H, W) in 0-1 with that mean for each label.

    Noise within labels, blur, bias field, gamma: the generative model of SynthMorph.
    """
    spread = rng.uniform(0.01, 0.08, len(means)).astype(np.float32)
    spread[0] *= rng.random() < 0.3
    noise = rng.standard_normal(labels.shape, np.float32)
    image = torch.from_numpy(means.astype(np.float32)[labels] + spread[labels] * noise)
    image = gaussian_blur(image[None], float(rng.uniform(0.3, 0.8)))[0].clamp_min(0)
    image = image * bias_field(image.shape, rng, 0.3)
    image = image / image.max().clamp_min(1e-6)
    return image ** float(np.exp(rng.normal(0, 0.2)))
