"""Convolutions of one to three dimensions, transposed ones, and their gradients."""

from collections.abc import Sequence
from math import prod

import numpy as np

from roundoff.rounding.kernels.gemm import check_float
from roundoff.rounding.kernels.product import Places, product
from roundoff.rounding.orders import convolution_order
from roundoff.rounding.plan import Plan

Sizes = Sequence[int]


def _three(values: Sizes, fill: int) -> tuple[int, int, int]:
    """Sizes of one to three dimensions as three, `fill` in front."""
    values = tuple(int(v) for v in values)
    return (fill,) * (3 - len(values)) + values


def _check_shapes(x: np.ndarray, weight: np.ndarray, groups: int) -> None:
    dims = x.ndim - 2
    if dims not in (1, 2, 3) or weight.ndim != x.ndim:
        raise ValueError(
            f"convolution needs (N, C, 1 to 3 sizes) and a weight of as many dimensions, "
            f"not {x.shape} and {weight.shape}"
        )
    if groups < 1 or x.shape[1] % groups or weight.shape[0] % groups:
        raise ValueError(
            f"groups={groups} does not divide the channels of {x.shape} and "
            f"{weight.shape}"
        )


def output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> int:
    """Length of a convolution's output along one dimension."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _padded(x: np.ndarray, padding: Sizes) -> np.ndarray:
    """Contiguous copy of x (N, C, D, H, W) with zeros around the last three."""
    if not any(padding):
        return np.ascontiguousarray(x)
    n, c = x.shape[:2]
    sizes = [s + 2 * p for s, p in zip(x.shape[2:], padding, strict=True)]
    wide = np.zeros((n, c, *sizes), x.dtype)
    inside = tuple(slice(p, p + s) for s, p in zip(x.shape[2:], padding, strict=True))
    wide[(slice(None), slice(None), *inside)] = x
    return wide


def _strides(shape: Sizes) -> list[int]:
    """Element strides of a contiguous array."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def _tap_offsets(x: np.ndarray, channels: int, kernel: Sizes, dilation: Sizes):
    """Input offset of each (channel, kd, kh, kw), flat, in that order."""
    strides = _strides(x.shape)[1:]
    steps = (1, *dilation)
    axes = [
        np.arange(size) * stride * step
        for size, stride, step in zip((channels, *kernel), strides, steps, strict=True)
    ]
    total = axes[0]
    for axis in axes[1:]:
        total = np.add.outer(total, axis)
    return total.ravel().astype(np.int64)


def convolution(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    *,
    plan: Plan,
) -> np.ndarray:
    """Return torch's convolution with every multiply-add rounded by `plan`.

    `x` is (N, C, *sizes), `weight` (M, C/groups, *kernel), `bias` (M,) or None, float32
    or float64; one to three spatial sizes, zero padding. The order of the sums is that
    of `orders.convolution_order`. Raises ValueError for shapes that do not fit.
    """
    dtype = check_float(x=x, weight=weight, bias=bias)
    _check_shapes(x, weight, groups)
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"weight {weight.shape} with groups={groups} needs "
            f"{weight.shape[1] * groups} input channels, x has {x.shape[1]}"
        )
    kernel = _three(weight.shape[2:], 1)
    stride, dilation = _three(stride, 1), _three(dilation, 1)
    padding = _three(padding, 0)
    sizes = [
        output_size(*numbers)
        for numbers in zip(
            _three(x.shape[2:], 1), kernel, stride, padding, dilation, strict=True
        )
    ]
    if min(sizes) < 1:
        raise ValueError(
            f"kernel {weight.shape[2:]} is larger than input {x.shape[2:]}"
        )
    batch, channels_out = x.shape[0], weight.shape[0]
    out = np.zeros((batch, channels_out, *sizes), dtype)
    if bias is not None:
        out += bias.reshape(1, -1, 1, 1, 1)
    order = convolution_order(plan.order, x.shape, weight.shape[2:], groups)
    wide = _padded(x.reshape(*x.shape[:2], *_three(x.shape[2:], 1)), padding)
    _convolve(wide, weight, stride, dilation, groups, order, out, plan)
    return out.reshape(batch, channels_out, *sizes[3 - (x.ndim - 2) :])


def _convolve(wide, weight, stride, dilation, groups, order, out, plan) -> None:
    """Unpadded convolution of (N, C, D, H, W) into the start values of `out`."""
    batch, channels = wide.shape[:2]
    inner, rows = channels // groups, weight.shape[0] // groups
    into, outof = _strides(wide.shape), _strides(out.shape)
    places = Places(
        (batch, *out.shape[2:]),
        (into[0], *(s * t for s, t in zip(into[2:], stride, strict=True))),
        (outof[0], *outof[2:]),
        row_out=outof[1],
        group_in=inner * into[1],
        group_out=rows * outof[1],
    )
    kernel = _three(weight.shape[2:], 1)
    offsets = _tap_offsets(wide, inner, kernel, dilation)
    weights = np.ascontiguousarray(weight).reshape(groups, rows, -1)
    product(wide.reshape(-1), offsets, places, weights, order, out.reshape(-1), plan)
