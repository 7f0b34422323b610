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

from roundoff.nan import kernels
from roundoff.nan.background import worth_following
from roundoff.nan.carried import Carried, PoolIndices, plain
from roundoff.nan.checks import sizes
from roundoff.nan.convolution import Fill
from roundoff.nan.engine import convolve, fits
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
from roundoff.nan.windows import pooling_windows

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
    exact: bool = False  # background is computed once, beside the mode
    compiled: bool = True  # use the compiled kernels where they fit
    always_skip: bool = False  # even where oneDNN would be quicker


NO_TIES = TieRule(max_threshold=255, rtol=0.0)


def _pooled(x: Tensor, settings: Settings, kernel, stride, padding, ceil_mode):
    """The pooling by the compiled kernels, or None where they cannot do it."""
    if settings.nan_probability != 1 or not _compiled(x, settings):
        return None
    windows = pooling_windows(x.shape[2:], kernel, stride, padding, ceil_mode)
    if windows.cells > 8 or any(windows.padding) or windows.overhangs():
        return None
    x = Carried.of(x)
    exact, aggressive = settings.mode == "exact", settings.mode == "aggressive"
    data, counts = x.values, x.counts
    if exact and counts is not None:
        return None  # PyTorch gives NaN where any value is
    rule = NO_TIES if exact else settings.rule
    values, cells, gone = kernels.pool(data, counts, windows, rule, aggressive)
    if counts is None and not gone.view(torch.int16).any():
        gone = None
    elif exact:
        return None  # nothing above -inf somewhere: PyTorch gives -inf
    made = Carried(values.shape, values, gone)
    if x.background is not None and not aggressive:
        made.background = worth_following(_min_pool(x.background, windows))

    def indices() -> Tensor:
        where = (kernel, stride, padding, ceil_mode)
        return _by_reference(x.plain(), settings, *where)[1]

    return made, PoolIndices(cells, windows, indices)


def _min_pool(same: Tensor, windows) -> Tensor:
    """1 where every cell of the window is 1."""
    function = F.max_pool2d if same.dim() == 3 else F.max_pool3d
    most = function(1.0 - same[:, None].float(), windows.kernel, windows.stride)
    return (most[:, 0] == 0).to(torch.uint8)


def _compiled(x: Tensor, settings: Settings) -> bool:
    grad = torch.is_grad_enabled() and x.requires_grad
    return settings.compiled and (
        isinstance(x, Carried) or (not grad and kernels.usable(x))
    )


def pool(x: Tensor, settings: Settings, kernel, stride, padding, ceil_mode):
    """Values and indices of a pooling under the settings; ties ride on the indices."""
    where = (kernel, stride, padding, ceil_mode)
    fast = _pooled(x, settings, *where)
    return _by_reference(plain(x), settings, *where) if fast is None else fast


def _by_reference(x: Tensor, settings: Settings, kernel, stride, padding, ceil_mode):
    if settings.mode == "exact":
        function = F.max_pool2d if x.dim() == 4 else F.max_pool3d
        return function(
            x, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True
        )
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
    if isinstance(indices, PoolIndices) and _compiled(x, settings):
        windows = indices.windows
        wanted = windows.plane if size is None else tuple(size)[-(x.dim() - 2) :]
        alike = sizes(kernel, x.dim() - 2, "kernel_size") == windows.kernel
        whole = windows.kernel == windows.stride and not any(windows.padding)
        if alike and whole and wanted == windows.plane:
            if size is None:
                wanted = tuple(
                    n * k for n, k in zip(windows.grid, windows.kernel, strict=True)
                )
            x = Carried.of(x)
            values, counts = kernels.unpool(
                x.values, x.counts, indices.cells, windows.kernel, wanted
            )
            made = Carried(values.shape, values, counts)
            if not counts.view(torch.int16).any():
                made.counts = None
            return made
    x, indices = plain(x), plain(indices)
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
        made.exact = settings.exact or settings.mode == "exact"
        made.compiled, made.always_skip = settings.compiled, settings.always_skip
        made.prepared = None
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Count the windows to be skipped, then convolve."""
        if self.compiled and fits(self, x):
            return convolve(self, x, self.exact)
        x = plain(x)
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
