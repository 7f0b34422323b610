"""Modules around the functions of this package; each only calls its function."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.nan.checks import check_threshold
from roundoff.nan.convolution import Fill, nan_conv2d, nan_conv3d
from roundoff.nan.pooling import (
    nan_max_pool2d,
    nan_max_pool3d,
    tie_max_pool2d,
    tie_max_pool3d,
)
from roundoff.nan.ties import Criterion, TieRule
from roundoff.nan.unpooling import nan_max_unpool2d, nan_max_unpool3d

Size = int | Sequence[int]


class _Pool(nn.Module):
    """Settings shared by the pooling modules."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        *,
        max_threshold: int = 1,
        rtol: float | None = None,
        atol: float = 0.0,
        criterion: Criterion = "close",
        padding: Size = 0,
        ceil_mode: bool = False,
    ):
        super().__init__()
        TieRule(max_threshold, rtol, atol, criterion)  # refuses bad settings now
        self.kernel_size, self.stride = kernel_size, stride
        self.settings = {
            "max_threshold": max_threshold,
            "rtol": rtol,
            "atol": atol,
            "criterion": criterion,
            "padding": padding,
            "ceil_mode": ceil_mode,
        }

    def extra_repr(self) -> str:
        """Settings, for print(model)."""
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings.items())
        return f"kernel_size={self.kernel_size}, stride={self.stride}, {settings}"


class _NaNMaxPool(_Pool):
    _function = None

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        *,
        nan_probability: float = 1.0,
        generator: torch.Generator | None = None,
        **settings,
    ):
        super().__init__(kernel_size, stride, **settings)
        if not 0 <= nan_probability <= 1:
            raise ValueError(
                f"nan_probability must lie between 0 and 1, not {nan_probability!r}"
            )
        self.nan_probability, self.generator = nan_probability, generator

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and flat positions."""
        return type(self)._function(
            x,
            self.kernel_size,
            self.stride,
            nan_probability=self.nan_probability,
            generator=self.generator,
            **self.settings,
        )


class NaNMaxPool2d(_NaNMaxPool):
    """Module of `nan_max_pool2d` (aggressive)."""

    _function = staticmethod(nan_max_pool2d)


class NaNMaxPool3d(_NaNMaxPool):
    """Module of `nan_max_pool3d` (aggressive)."""

    _function = staticmethod(nan_max_pool3d)


class _TieMaxPool(_Pool):
    _function = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, flat positions and the bitmap of tied cells."""
        return type(self)._function(x, self.kernel_size, self.stride, **self.settings)


class TieMaxPool2d(_TieMaxPool):
    """Module of `tie_max_pool2d` (conservative)."""

    _function = staticmethod(tie_max_pool2d)


class TieMaxPool3d(_TieMaxPool):
    """Module of `tie_max_pool3d` (conservative)."""

    _function = staticmethod(tie_max_pool3d)


class _NaNMaxUnpool(nn.Module):
    _function = None

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0
    ):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(
        self,
        values: Tensor,
        indices: Tensor,
        ties: Tensor | None,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        """Unpooled values; nothing is kept between calls."""
        return type(self)._function(
            values,
            indices,
            ties,
            self.kernel_size,
            self.stride,
            output_size,
            padding=self.padding,
        )

    def extra_repr(self) -> str:
        """Settings, for print(model)."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class NaNMaxUnpool2d(_NaNMaxUnpool):
    """Module of `nan_max_unpool2d`."""

    _function = staticmethod(nan_max_unpool2d)


class NaNMaxUnpool3d(_NaNMaxUnpool):
    """Module of `nan_max_unpool3d`."""

    _function = staticmethod(nan_max_unpool3d)


class _NaNConv:
    """Adds `threshold` and `fill` to a convolution of PyTorch."""

    _function = None
    compiled = True  # False: PyTorch only

    def __init__(self, *args, threshold: float, fill: Fill = "mean", **kwargs):
        super().__init__(*args, **kwargs)
        if fill not in ("mean", "zero"):
            raise ValueError(f"fill must be 'mean' or 'zero', not {fill!r}")
        self.threshold, self.fill = check_threshold(threshold), fill

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, *plane] that may hold NaN to [N, O, *plane]."""
        padding = self.padding
        if self.padding_mode != "zeros":
            amounts = self._reversed_padding_repeated_twice
            x, padding = F.pad(x, amounts, mode=self.padding_mode), 0
        return type(self)._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            threshold=self.threshold,
            fill=self.fill,
            compiled=self.compiled,
        )

    def extra_repr(self) -> str:
        """Settings, for print(model)."""
        return f"{super().extra_repr()}, threshold={self.threshold}, fill={self.fill!r}"


class NaNConv2d(_NaNConv, nn.Conv2d):
    """`torch.nn.Conv2d` for inputs with NaN; see `nan_conv2d`."""

    _function = staticmethod(nan_conv2d)


class NaNConv3d(_NaNConv, nn.Conv3d):
    """`torch.nn.Conv3d` for inputs with NaN; see `nan_conv3d`."""

    _function = staticmethod(nan_conv3d)
