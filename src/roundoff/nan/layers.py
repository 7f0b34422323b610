"""Stand-ins for the layers of a converted network: same arguments, same results' form.

In conservative mode the tie sets of a pooling travel with its indices, as an attribute
of that tensor, since the network passes the indices on to the unpooling unopened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.nan.convolution import Fill
from roundoff.nan.modules import NaNConv2d, NaNConv3d
from roundoff.nan.pooling import (
    nan_max_pool2d,
    nan_max_pool3d,
    tie_max_pool2d,
    tie_max_pool3d,
)
from roundoff.nan.skips import SkipCount, conv_shape, nan_counts, skip_mask
from roundoff.nan.ties import TieRule
from roundoff.nan.unpooling import nan_max_unpool2d, nan_max_unpool3d

Mode = Literal["conservative", "aggressive", "exact"]
TIES = "roundoff_ties"  # attribute of an index tensor: the bitmap of its tie sets


@dataclass(frozen=True)
class Settings:
    """How a network is converted; see `convert`."""

    mode: Mode = "conservative"
    threshold: float = 0.5
    fill: Fill = "mean"
    rule: TieRule = field(default_factory=TieRule)
    nan_probability: float = 1.0
    generator: torch.Generator | None = None
    maps: bool = False


def pool(x: Tensor, settings: Settings, kernel, stride, padding, ceil_mode):
    """Values and indices of a pooling under the settings; ties ride on the indices."""
    where = {"padding": padding, "ceil_mode": ceil_mode}
    rule = settings.rule
    where |= {
        "max_threshold": rule.max_threshold,
        "rtol": rule.rtol,
        "atol": rule.atol,
        "criterion": rule.criterion,
    }
    if settings.mode == "aggressive":
        function = nan_max_pool2d if x.dim() == 4 else nan_max_pool3d
        where["nan_probability"] = settings.nan_probability
        where["generator"] = settings.generator
        return function(x, kernel, stride, **where)
    function = tie_max_pool2d if x.dim() == 4 else tie_max_pool3d
    values, indices, ties = function(x, kernel, stride, **where)
    setattr(indices, TIES, ties)
    return values, indices


def unpool(x: Tensor, indices: Tensor, settings: Settings, kernel, stride, size, pad):
    """Unpooling under the settings, by the tie sets that ride on the indices."""
    ties = None
    if settings.mode == "conservative":
        ties = getattr(indices, TIES, None)
        if ties is None:
            raise RuntimeError(
                "these pooling indices carry no tie sets: conservative unpooling needs "
                "the very tensor that a converted pooling returned (a copy, a slice or "
                "the indices of an unconverted pooling lose them)"
            )
    function = nan_max_unpool2d if x.dim() == 4 else nan_max_unpool3d
    return function(x, indices, ties, kernel, stride, size, padding=pad)


class ConvertedPool(nn.Module):
    """In place of `nn.MaxPool2d` or `nn.MaxPool3d`."""

    def __init__(self, original: nn.Module, settings: Settings):
        super().__init__()
        if _any_above_one(original.dilation):
            raise ValueError(
                f"max pooling with dilation {original.dilation} has no NaN operation; "
                "name the layer in keep= to leave it as it is"
            )
        self.settings = settings
        self.kernel_size, self.stride = original.kernel_size, original.stride
        self.padding, self.ceil_mode = original.padding, original.ceil_mode
        self.return_indices = original.return_indices

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Values, or values and indices, as the original layer was set up."""
        values, indices = pool(
            x,
            self.settings,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
        )
        return (values, indices) if self.return_indices else values


class ConvertedUnpool(nn.Module):
    """In place of `nn.MaxUnpool2d` or `nn.MaxUnpool3d`."""

    def __init__(self, original: nn.Module, settings: Settings):
        super().__init__()
        self.settings = settings
        self.kernel_size, self.stride = original.kernel_size, original.stride
        self.padding = original.padding

    def forward(
        self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """Unpooled values."""
        return unpool(
            x,
            indices,
            self.settings,
            self.kernel_size,
            self.stride,
            output_size,
            self.padding,
        )


class _ConvertedConv:
    """A NaN convolution that holds the original's own parameters and counts."""

    @classmethod
    def of(cls, original: nn.Module, settings: Settings) -> "_ConvertedConv":
        """The stand-in of a convolution; parameters are shared, not copied."""
        made = cls(
            original.in_channels,
            original.out_channels,
            original.kernel_size,
            original.stride,
            original.padding,
            original.dilation,
            original.groups,
            original.bias is not None,
            original.padding_mode,
            device="meta",
            threshold=settings.threshold,
            fill=settings.fill,
        )
        made.weight, made.bias = original.weight, original.bias
        made.train(original.training)
        made.maps, made.count, made.skipped = settings.maps, SkipCount(), None
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Count the windows to be skipped, then convolve."""
        self._count(x)
        return super().forward(x)

    def _count(self, x: Tensor) -> None:
        padding = self.padding
        if self.padding_mode != "zeros":
            amounts = self._reversed_padding_repeated_twice
            x, padding = F.pad(x, amounts, mode=self.padding_mode), 0
        shape = conv_shape(
            x, self.weight.shape, self.stride, padding, self.dilation, self.groups
        )
        skipped = skip_mask(nan_counts(x, shape), shape, self.threshold)
        self.count += shape.count(int(skipped.sum()), skipped.numel())
        self.skipped = skipped if self.maps else None


class ConvertedConv2d(_ConvertedConv, NaNConv2d):
    """In place of `nn.Conv2d`."""


class ConvertedConv3d(_ConvertedConv, NaNConv3d):
    """In place of `nn.Conv3d`."""


def _any_above_one(value: int | Sequence[int]) -> bool:
    return max(value if isinstance(value, Sequence) else (value,)) > 1
