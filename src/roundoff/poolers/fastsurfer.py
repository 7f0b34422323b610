"""FastSurferVINN with another pooler's values, not retrained: an illustration.

The places of the maxima, which unpooling needs, stay those of max pooling; only the
values that go down to the next level change.
"""

import copy
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from roundoff.poolers.functional import (
    mixing_pool2d,
    stochastic_pool2d,
    tdgs_pool2d,
)
from roundoff.poolers.stability import bits, sampled

VALUES = {
    "max": lambda x: nn.functional.max_pool2d(x, 2),
    "average": lambda x: nn.functional.avg_pool2d(x, 2),
    "mixing": lambda x: mixing_pool2d(x, x.new_zeros(x.shape[1]), 2),
    "stochastic_softmax": lambda x: stochastic_pool2d(
        x, 2, mode="softmax", training=False
    ),
    "tdgs": lambda x: tdgs_pool2d(
        x, x.new_ones(x.shape[1], x.shape[2] // 2, x.shape[3] // 2), 2, training=False
    ),
}


class ReplacedPool(nn.Module):
    """Max pooling's indices with another pooler's values."""

    def __init__(self, original: nn.Module, name: str):
        super().__init__()
        self.original, self.value = original, VALUES[name]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and indices, as `nn.MaxPool2d(2, return_indices=True)`."""
        _, indices = self.original(x)
        return self.value(x), indices


def replaced(network: nn.Module, name: str) -> nn.Module:
    """A copy of a FastSurfer network whose encoders pool by another rule."""
    made = copy.deepcopy(network)
    for level in range(1, 5):
        encoder = getattr(made, f"encode{level}")
        encoder.pool = ReplacedPool(encoder.pool, name)
    return made.eval()


@torch.no_grad()
def compare(
    network: nn.Module, inputs: tuple, brain: Tensor, seeds: Sequence[int]
) -> pd.DataFrame:
    """Bits of the winning logit in the brain, and Dice with the original's labels.

    `inputs`: arguments of the forward pass for one slice; `brain`: bool (H, W).
    Columns: pooler, bits, labels_changed (share of brain pixels whose label is not the
    same in all samples), dice (mean over the labels of the unchanged network).
    """
    original = network.eval()(*inputs).argmax(1)[0]
    rows = []
    for name in VALUES:
        made = replaced(network, name)
        labels = made(*inputs).argmax(1)[0]
        (logits,) = sampled(lambda m=made: [m(*inputs)], seeds)
        best = [out[0].amax(0)[brain] for out in logits]
        found = torch.stack([out[0].argmax(0)[brain] for out in logits])
        rows.append(
            {
                "pooler": name,
                "bits": bits(best),
                "labels_changed": float((found != found[0]).any(0).float().mean()),
                "dice": _mean_dice(original, labels),
            }
        )
    return pd.DataFrame(rows)


def _mean_dice(a: Tensor, b: Tensor) -> float:
    scores = []
    for label in a.unique().tolist():
        if label:
            both = ((a == label) & (b == label)).sum()
            scores.append(2 * both / ((a == label).sum() + (b == label).sum()))
    return float(torch.stack(scores).mean()) if scores else float("nan")
