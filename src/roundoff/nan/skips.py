"""Which windows of a convolution hold too much NaN to be computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.nan.checks import check_input, check_threshold, sizes

Size = int | Sequence[int]


@dataclass(frozen=True)
class SkipCount:
    """Skipped and total positions (sample x group x output position) of convolutions.

    The multiply-accumulates are those of the same positions. Counts add up.
    """

    skipped: int = 0
    total: int = 0
    skipped_macs: int = 0
    total_macs: int = 0

    @property
    def share(self) -> float:
        """Share of skipped positions, 0 to 1; NaN where nothing was counted."""
        return self.skipped / self.total if self.total else float("nan")

    @property
    def mac_share(self) -> float:
        """Share of skipped multiply-accumulates, 0 to 1; NaN where none."""
        return self.skipped_macs / self.total_macs if self.total_macs else float("nan")

    def __add__(self, other: "SkipCount") -> "SkipCount":
        return SkipCount(
            self.skipped + other.skipped,
            self.total + other.total,
            self.skipped_macs + other.skipped_macs,
            self.total_macs + other.total_macs,
        )


@dataclass(frozen=True)
class ConvShape:
    """The geometry of a convolution, checked; sizes per spatial axis."""

    out_channels: int
    in_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    before: tuple[int, ...]  # zeros added in front of each axis
    after: tuple[int, ...]  # and behind it

    @property
    def symmetric(self) -> bool:
        """Whether the framework's own padding argument can express the padding."""
        return self.before == self.after

    @property
    def window(self) -> int:
        """Values of one window: channels of a group times cells of the kernel."""
        return self.in_channels // self.groups * prod(self.kernel)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one position of one group."""
        return self.out_channels // self.groups * self.window

    def output(self, plane: Sequence[int]) -> tuple[int, ...]:
        """Spatial output size for a spatial input size."""
        return tuple(
            (n + b + a - d * (k - 1) - 1) // s + 1
            for n, b, a, d, k, s in zip(
                plane,
                self.before,
                self.after,
                self.dilation,
                self.kernel,
                self.stride,
                strict=True,
            )
        )

    def pad(self, x: Tensor) -> Tensor:
        """`x` with its zeros around it."""
        amounts = []
        for b, a in zip(reversed(self.before), reversed(self.after), strict=True):
            amounts += [b, a]
        return F.pad(x, amounts) if any(amounts) else x

    def count(self, skipped: int, positions: int) -> SkipCount:
        """The skip count of so many positions."""
        return SkipCount(skipped, positions, skipped * self.macs, positions * self.macs)


def conv_shape(
    x: Tensor,
    weight_shape: Sequence[int],
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> ConvShape:
    """Check a convolution's arguments against its input; errors name the argument."""
    dims = x.dim() - 2
    shape = tuple(weight_shape)
    if len(shape) != dims + 2:
        raise ValueError(
            f"weight must have {dims + 2} axes [out, in / groups, kernel], not shape "
            f"{shape}"
        )
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"groups must be a whole number of at least 1, not {groups!r}")
    if x.shape[1] != shape[1] * groups or shape[0] % groups:
        raise ValueError(
            f"weight of shape {shape} with groups={groups} takes {shape[1] * groups} "
            f"input channels and a multiple of {groups} output channels, but x has "
            f"{x.shape[1]} channels"
        )
    kernel = sizes(shape[2:], dims, "the kernel size of weight")
    stride = sizes(stride, dims, "stride")
    dilation = sizes(dilation, dims, "dilation")
    before, after = _padding(padding, kernel, stride, dilation)
    made = ConvShape(
        shape[0], x.shape[1], kernel, stride, dilation, groups, before, after
    )
    if min(made.output(x.shape[2:])) < 1:
        raise ValueError(
            f"the kernel {kernel} with dilation {dilation} does not fit into the input "
            f"of size {tuple(x.shape[2:])} with padding {padding!r}"
        )
    return made


def _padding(padding, kernel, stride, dilation):
    dims = len(kernel)
    if padding == "valid":
        return (0,) * dims, (0,) * dims
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(
                "padding='same' needs stride 1; give the padding in pixels"
            )
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    if isinstance(padding, str):
        raise ValueError(f"padding must be pixels, 'same' or 'valid', not {padding!r}")
    amounts = sizes(padding, dims, "padding", minimum=0)
    return amounts, amounts


def window_sums(x: Tensor, shape: ConvShape) -> Tensor:
    """Sum of every window over the channels of each group: [N, groups, *output].

    Padding adds zeros. `x` is float32 or float64; whole numbers below 2**24 are exact.
    """
    grouped = x.unflatten(1, (shape.groups, -1)).sum(2)
    flat = shape.pad(grouped.flatten(0, 1)[:, None])
    ones = torch.ones((1, 1, *shape.kernel), dtype=x.dtype, device=x.device)
    convolve = F.conv2d if len(shape.kernel) == 2 else F.conv3d
    sums = convolve(flat, ones, None, shape.stride, 0, shape.dilation)
    return sums[:, 0].unflatten(0, (x.shape[0], shape.groups))


def nan_counts(x: Tensor, shape: ConvShape) -> Tensor:
    """Number of NaN in every window, exact, float32 [N, groups, *output]."""
    return window_sums(x.detach().isnan().to(torch.float32), shape)


def skip_mask(counts: Tensor, shape: ConvShape, threshold: float) -> Tensor:
    """Windows whose NaN ratio reaches the threshold: count / size >= T in float64.

    Compared by counts, so that random rounding of tensor operations decides nothing.
    """
    return counts >= least_skipped_count(shape.window, threshold)


def least_skipped_count(window: int, threshold: float) -> int:
    """The smallest count of NaN that is skipped: count / window >= threshold.

    window + 1 where nothing is. Divided first, in float64 (never T times the size).
    """
    guess = min(max(int(threshold * window) - 1, 0), window)
    while guess <= window and guess / window < threshold:
        guess += 1
    return guess


def count_skipped(
    x: Tensor,
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    threshold: float | None = None,
) -> SkipCount:
    """How many windows a NaN convolution skips on this input.

    x: [N, C, H, W] or [N, C, D, H, W], the convolution's input before it runs;
    `weight_shape` as the weight's, (O, C / groups, *kernel). Positions are counted once
    per sample, group and output position (N * groups * OH * OW), not per output
    channel. `threshold` is required. Raises TypeError and ValueError.
    """
    if threshold is None:
        raise TypeError("threshold is required: the NaN ratio from which to skip")
    check_threshold(threshold)
    check_input(x, 3 if x.dim() == 5 else 2)
    shape = conv_shape(x, weight_shape, stride, padding, dilation, groups)
    skipped = skip_mask(nan_counts(x, shape), shape, threshold)
    return shape.count(int(skipped.sum()), skipped.numel())
