"""Convolution that gives NaN where a window is mostly NaN and fills it elsewhere."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.nan import bands
from roundoff.nan.checks import accumulator, check_input, check_threshold
from roundoff.nan.quick import skip_windows
from roundoff.nan.skips import ConvShape, conv_shape, nan_counts, skip_mask, window_sums

Size = int | Sequence[int]
Fill = Literal["mean", "zero"]


def nan_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    threshold: float,
    fill: Fill = "mean",
    compiled: bool = True,
) -> Tensor:
    """Convolution of [N, C, H, W] that may hold NaN.

    A window is the kernel's cells over all channels of a group, padding zeros included
    as finite values. Where its share of NaN is at least `threshold` the output is NaN
    in every channel of the group (1: only windows of nothing but NaN; above 1: never).
    Elsewhere each NaN is replaced by the mean of the window's finite values (`fill`
    "mean"; 0 without any) or by 0 ("zero"). Infinities are no NaN: convolved as they
    stand, no part of the mean.

    Every sample is on its own. Without NaN the result is `F.conv2d`'s. Half precision
    with NaN is computed in float32 and rounded at the end. Gradients are finite where
    the output is. `compiled` False: PyTorch only. Raises TypeError and ValueError for
    bad arguments.
    Rules: arXiv 2601.17180, with the corrections told in docs/nan_operations.md.
    """
    check_input(x, 2)
    return _conv(
        x,
        weight,
        bias,
        stride,
        padding,
        dilation,
        groups,
        threshold,
        fill,
        F.conv2d,
        compiled,
    )


def nan_conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    threshold: float,
    fill: Fill = "mean",
    compiled: bool = True,
) -> Tensor:
    """`nan_conv2d` for [N, C, D, H, W]."""
    check_input(x, 3)
    return _conv(
        x,
        weight,
        bias,
        stride,
        padding,
        dilation,
        groups,
        threshold,
        fill,
        F.conv3d,
        compiled,
    )


def _conv(
    x,
    weight,
    bias,
    stride,
    padding,
    dilation,
    groups,
    threshold,
    fill,
    convolve,
    compiled,
) -> Tensor:
    check_threshold(threshold)
    if fill not in ("mean", "zero"):
        raise ValueError(f"fill must be 'mean' or 'zero', not {fill!r}")
    shape = conv_shape(x, weight.shape, stride, padding, dilation, groups)
    if compiled:
        quick = skip_windows(x, weight, bias, shape, threshold, fill)
        if quick is not None:
            return quick
    missing = x.detach().isnan()
    if not bool(missing.any()):
        return _dense(x, weight, bias, shape, convolve)
    counts = nan_counts(x, shape)
    skipped = skip_mask(counts, shape, threshold)
    work = accumulator(x.dtype)
    known = torch.where(missing, 0.0, x.to(work))
    weights = (weight.to(work), None if bias is None else bias.to(work))
    if bands.worthwhile(skipped, shape, x, *weights):
        made = _in_bands(known, missing, counts, skipped, *weights, shape, fill)
        return made.to(x.dtype)
    result = _filled(known, missing, counts, *weights, shape, fill, convolve)
    gone = _per_channel(skipped, shape)
    return torch.where(gone, float("nan"), result).to(x.dtype)


def _in_bands(known, missing, counts, skipped, weight, bias, shape, fill) -> Tensor:
    """Only the rectangles that hold all windows to be computed."""
    result = known.new_full(
        (len(known), shape.out_channels, *skipped.shape[2:]), float("nan")
    )
    gone = _per_channel(skipped, shape)
    known, missing = shape.pad(known), shape.pad(missing)
    bare = bands.unpadded(shape)
    for rectangle in bands.active_bands(skipped):
        place = (slice(None), slice(None), *rectangle)
        part = bands.input_slices(rectangle, shape)
        here = (known[part], missing[part], counts[place])
        partial = (counts[place] > 0) & ~skipped[place]
        if fill == "mean" and bands.few(partial, bare):
            made = _dense(here[0], weight, bias, bare, F.conv2d)
            bands.add_means(made, *here[:2], partial, weight, bare)
        else:
            made = _filled(*here, weight, bias, bare, fill, F.conv2d)
        result[place] = torch.where(gone[place], float("nan"), made)
    return result


def _filled(known, missing, counts, weight, bias, shape, fill, convolve) -> Tensor:
    """The convolution with every NaN replaced; `known` has 0 in their place."""
    result = _dense(known, weight, bias, shape, convolve)
    if fill == "zero" or not bool((counts > 0).any()):
        return result
    mean = _window_mean(known, counts, shape)
    weights = _dense(missing.to(known.dtype), weight, None, shape, convolve)
    filled = _per_channel(mean, shape) * weights
    return torch.where(_per_channel(counts, shape) > 0, result + filled, result)


def _dense(x, weight, bias, shape: ConvShape, convolve) -> Tensor:
    padding = shape.before
    if not shape.symmetric:
        x, padding = shape.pad(x), (0,) * len(padding)
    return convolve(
        x, weight, bias, shape.stride, padding, shape.dilation, shape.groups
    )


def _window_mean(known: Tensor, counts: Tensor, shape: ConvShape) -> Tensor:
    """Mean of the finite values of windows with NaN, [N, groups, *output]; else 0.

    `known` has 0 in place of NaN.
    """
    infinite = known.detach().isinf()
    absent = counts
    if bool(infinite.any()):
        known = torch.where(infinite, 0.0, known)
        absent = absent + window_sums(infinite.to(torch.float32), shape)
    number = (shape.window - absent).to(known.dtype)
    total = torch.where(counts > 0, window_sums(known, shape), 0.0)
    return total / number.clamp(min=1)


def _per_channel(groups: Tensor, shape: ConvShape) -> Tensor:
    """[N, groups, *output] to every output channel of each group."""
    if shape.groups == 1:
        return groups
    return groups.repeat_interleave(shape.out_channels // shape.groups, 1)
