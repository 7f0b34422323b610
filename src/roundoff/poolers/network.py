"""The small network of the pooler study, with any pooler."""

import torch
from torch import Tensor, nn

from roundoff.poolers.modules import make_pooler

WIDTHS = (16, 32, 64)


class SmallCnn(nn.Module):
    """Three 3x3 convolutions (16, 32, 64), each with ReLU and a 2x2 pooler; 128, 10.

    Images (N, channels, side, side) to logits (N, classes), float32.
    """

    def __init__(
        self,
        pooler: str,
        channels: int,
        side: int,
        classes: int = 10,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ):
        super().__init__()
        inputs = (channels, *WIDTHS[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(inputs, WIDTHS, strict=True)
        )
        self.pools = nn.ModuleList(
            make_pooler(pooler, width, 2, generator, temperature) for width in WIDTHS
        )
        with torch.no_grad():  # also gives lazy poolers their shapes
            flat = self._features(torch.zeros(1, channels, side, side)).shape[1]
        self.hidden = nn.Linear(flat, 128)
        self.last = nn.Linear(128, classes)

    def _features(self, x: Tensor) -> Tensor:
        for conv, pool in zip(self.convs, self.pools, strict=True):
            x = pool(torch.relu(conv(x)))
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.last(torch.relu(self.hidden(self._features(x))))
