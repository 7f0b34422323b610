"""Competitive dense blocks: convolutions whose results compete by elementwise maximum.

Henschel et al. 2020 (FastSurfer, NeuroImage) and 2022 (FastSurferVINN, NeuroImage).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from roundoff.models.unpooling import MaxUnpool2d


class CompetitiveBlock(nn.Module):
    """Dense block in which concatenation is replaced by a maximum (maxout).

    Each step is activation, convolution, normalisation, maximum with the running
    value; the last step has no maximum. Maxima take values before the activation, and
    the whole block shares one scalar PReLU. The first maximum is left out where the
    channel counts differ: in the input block, which starts with a normalisation
    (`entry_norm`) in place of the activation, and in the output block.

    Shapes: (N, in_channels, H, W) to (N, out_channels, H, W), float32.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: Sequence[int],
        *,
        norm: str = "bn",
        entry_norm: bool = False,
        first_maxout: bool = True,
    ):
        super().__init__()
        self.steps = len(kernels)
        self.norm = norm
        self.first_maxout = first_maxout
        for i, kernel in enumerate(kernels):
            inputs = in_channels if i == 0 else out_channels
            conv = nn.Conv2d(inputs, out_channels, kernel, padding=kernel // 2)
            self.add_module(f"conv{i}", conv)
        if entry_norm:
            # Called bn0 in every checkpoint, whatever the other norms are called.
            self.bn0 = nn.BatchNorm2d(in_channels)
        self.entry_norm = entry_norm
        for i in range(self.steps):
            self.add_module(f"{norm}{i + 1}", nn.BatchNorm2d(out_channels))
        self.prelu = nn.PReLU()

    def _step(self, i: int, x: Tensor) -> Tensor:
        conv, norm = getattr(self, f"conv{i}"), getattr(self, f"{self.norm}{i + 1}")
        return norm(conv(x))

    def forward(self, x: Tensor) -> Tensor:
        """Run the block; see the class for shapes."""
        running = self._step(0, self.bn0(x) if self.entry_norm else self.prelu(x))
        if self.first_maxout:
            running = torch.maximum(running, x)
        for i in range(1, self.steps - 1):
            running = torch.maximum(self._step(i, self.prelu(running)), running)
        return self._step(self.steps - 1, self.prelu(running))


class Encoder(CompetitiveBlock):
    """A competitive block, then max-pooling 2x2 that keeps the indices."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pool = nn.MaxPool2d(2, stride=2, return_indices=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pooled output, the output before pooling, and the indices."""
        skip = super().forward(x)
        pooled, indices = self.pool(skip)
        return pooled, skip, indices


class Decoder(CompetitiveBlock):
    """Max-unpooling by an encoder's indices, maximum with its skip, then a block.

    Where the unpooled image has only zeros, the skip alone competes: an index that
    flips between equal values moves a value to another pixel.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.unpool = MaxUnpool2d(2, stride=2)

    def forward(self, x: Tensor, skip: Tensor, indices: Tensor) -> Tensor:
        """`x` at half the size of `skip`, with the indices of the same level."""
        unpooled = self.unpool(x, indices, output_size=skip.shape)
        return super().forward(torch.maximum(unpooled, skip))


class Classifier(nn.Module):
    """1x1 convolution to the classes: raw logits."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, num_classes, H, W)."""
        return self.conv(x)
