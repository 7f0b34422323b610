"""Convolutions of one to three dimensions and their gradients, rounded throughout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product as iproduct
from math import prod

import numpy as np

from roundoff.rounding.kernels.col2im import add_bias, overlap_add
from roundoff.rounding.kernels.gemm import check_float, matmul
from roundoff.rounding.kernels.product import Places, product
from roundoff.rounding.orders import (
    SummationOrder,
    convolution_library,
    convolution_order,
    matmul_order,
    transposed_order,
)
from roundoff.rounding.plan import Plan
from roundoff.rounding.streams import stream_key

Sizes = Sequence[int]


def _three(values: Sizes, fill: int) -> tuple[int, int, int]:
    """Sizes of one to three dimensions as three, `fill` in front."""
    values = tuple(int(v) for v in values)
    return (fill,) * (3 - len(values)) + values


def _check_shapes(x: np.ndarray, weight: np.ndarray, groups: int) -> None:
    dims = x.ndim - 2
    if dims not in (1, 2, 3) or weight.ndim != x.ndim:
        raise ValueError(
            "convolution needs (N, C, 1 to 3 sizes) and a weight of as many "
            f"dimensions, not {x.shape} and {weight.shape}"
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


def _outer_sum(sizes: Sizes, steps: Sizes) -> np.ndarray:
    """Flat int64 array of the sums i0 * steps[0] + i1 * steps[1] + ..."""
    total = np.zeros(1, np.int64)
    for size, step in zip(sizes, steps, strict=True):
        total = np.add.outer(total, np.arange(size, dtype=np.int64) * step)
    return total.ravel()


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
    order = convolution_order(
        plan.order,
        x.shape,
        weight.shape[2:],
        groups,
        channels_out // groups,
        max(*stride, *dilation) > 1,
    )
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
    steps = (into[1], *(s * d for s, d in zip(into[2:], dilation, strict=True)))
    offsets = _outer_sum((inner, *kernel), steps)
    weights = np.ascontiguousarray(weight).reshape(groups, rows, -1)
    product(wide.reshape(-1), offsets, places, weights, order, out.reshape(-1), plan)


def conv_transpose(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
    *,
    plan: Plan,
) -> np.ndarray:
    """Return torch's transposed convolution, every operation rounded by `plan`.

    `x` is (N, C, *sizes), `weight` (C, M/groups, *kernel). Small inputs go as in torch
    without oneDNN: a matrix product over the input channels, then overlapping taps are
    added one by one; others in oneDNN's order. The bias is added last.
    Raises ValueError for shapes that do not fit.
    """
    dtype = check_float(x=x, weight=weight, bias=bias)
    _check_shapes(x, weight, groups)
    if weight.shape[0] != x.shape[1]:
        raise ValueError(
            f"weight {weight.shape} does not fit the channels of {x.shape}"
        )
    dims = x.ndim - 2
    kernel = _three(weight.shape[2:], 1)
    stride, dilation = _three(stride, 1), _three(dilation, 1)
    padding, extra = _three(padding, 0), _three(output_padding, 0)
    sizes = [
        (size - 1) * s - 2 * p + d * (k - 1) + e + 1
        for size, k, s, p, d, e in zip(
            _three(x.shape[2:], 1),
            kernel,
            stride,
            padding,
            dilation,
            extra,
            strict=True,
        )
    ]
    if min(sizes) < 1:
        raise ValueError(f"padding {padding} leaves no output of {x.shape}")
    batch, rows = x.shape[0], weight.shape[1] * groups
    out = np.zeros((batch, rows, *sizes), dtype)
    small = x.reshape(*x.shape[:2], *_three(x.shape[2:], 1))
    _transpose(small, weight, stride, padding, dilation, groups, out, plan)
    if bias is not None:
        add_bias(out, bias, _derived(plan, "bias"))
    return out.reshape(batch, rows, *sizes[3 - dims :])


def _derived(plan: Plan, purpose: str) -> Plan:
    """The same plan with an unrelated random stream."""
    return replace(plan, key=stream_key(plan.key, purpose))


def _transpose(
    small: np.ndarray,
    weight: np.ndarray,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    out: np.ndarray,
    plan: Plan,
) -> None:
    """Transposed convolution of (N, C, D, H, W) into `out`, as the library would."""
    strided = max(*stride, *dilation) > 1
    kernel = weight.shape[2:]
    shape = (*small.shape[:2], *small.shape[5 - len(kernel) :])
    library = convolution_library(plan.order, shape, kernel, groups, strided)
    sizes = (stride, padding, dilation)
    if library.startswith("onednn"):
        _transpose_by_phase(small, weight, *sizes, groups, library, out, plan)
    else:
        order = matmul_order(plan.order, small.shape[1] // groups)
        _spread(small, weight, *sizes, groups, order, out, plan)


@dataclass(frozen=True)
class _Phase:
    """Along one dimension: outputs first, first + stride, ... and their taps.

    Output number q of the phase meets tap `taps[i]` at input q + shifts[i].
    """

    first: int
    count: int
    taps: tuple[int, ...]
    shifts: tuple[int, ...]


def _phases(out: int, kernel: int, stride: int, padding: int, dilation: int):
    found = []
    for first in range(min(stride, out)):
        pairs = [
            (k, (first + padding - k * dilation) // stride)
            for k in range(kernel)
            if (first + padding - k * dilation) % stride == 0
        ]
        count = -(-(out - first) // stride)
        taps, shifts = (
            (tuple(v) for v in zip(*pairs, strict=True)) if pairs else ((), ())
        )
        found.append(_Phase(first, count, taps, shifts))
    return found


def _transpose_by_phase(
    small, weight, stride, padding, dilation, groups, library, out, plan
) -> None:
    """Each residue of output places modulo the stride is a dense convolution."""
    kernel = _three(weight.shape[2:], 1)
    dims = [
        _phases(*numbers)
        for numbers in zip(
            out.shape[2:], kernel, stride, padding, dilation, strict=True
        )
    ]
    low, wide = _room_for(small, dims)
    strided, step = max(stride) > 1, stride[2]
    by_column = out.shape[4] % step == 0 and out.shape[4] >= small.shape[4] * step
    inner = small.shape[1] // groups
    for number, phases in enumerate(iproduct(*dims)):
        taps = [len(phase.taps) for phase in phases]
        if not all(taps):
            continue
        order = transposed_order(library, inner, taps, strided, by_column)
        own = _derived(plan, f"phase {number}")
        _one_phase(wide, low, weight, phases, stride, groups, order, out, own)


def _room_for(small: np.ndarray, dims: list[list[_Phase]]):
    """Zero-padded copy of the input that holds every place the phases read."""
    low, sizes = [], []
    for size, phases in zip(small.shape[2:], dims, strict=True):
        reads = [(min(p.shifts), max(p.shifts) + p.count) for p in phases if p.taps]
        low.append(max(0, *(-r[0] for r in reads)) if reads else 0)
        sizes.append(max(size, *(r[1] for r in reads)) + low[-1])
    wide = np.zeros((*small.shape[:2], *sizes), small.dtype)
    inside = tuple(
        slice(start, start + size)
        for start, size in zip(low, small.shape[2:], strict=True)
    )
    wide[(slice(None), slice(None), *inside)] = small
    return low, wide


def _one_phase(wide, low, weight, phases, stride, groups, order, out, plan) -> None:
    inner, rows = wide.shape[1] // groups, weight.shape[1]
    into, outof = _strides(wide.shape), _strides(out.shape)
    places = Places(
        (wide.shape[0], *(phase.count for phase in phases)),
        (into[0], *into[2:]),
        (outof[0], *(s * t for s, t in zip(outof[2:], stride, strict=True))),
        row_out=outof[1],
        group_in=inner * into[1],
        group_out=rows * outof[1],
    )
    offsets = np.arange(inner, dtype=np.int64) * into[1]
    for phase, start, step in zip(phases, low, into[2:], strict=True):
        offsets = np.add.outer(offsets, (np.array(phase.shifts) + start) * step)
    kernel = _three(weight.shape[2:], 1)
    chosen = weight.reshape(groups, inner, rows, *kernel)
    for axis, phase in enumerate(phases):
        chosen = chosen.take(phase.taps, axis=3 + axis)
    weights = chosen.swapaxes(1, 2).reshape(groups, rows, -1)
    first = sum(p.first * s for p, s in zip(phases, outof[2:], strict=True))
    product(
        wide.reshape(-1), offsets.ravel(), places, weights, order,
        out.reshape(-1)[first:], plan,
    )  # fmt: skip


def _spread(
    small: np.ndarray,
    weight: np.ndarray,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    order: SummationOrder,
    out: np.ndarray,
    plan: Plan,
) -> None:
    """Add each input of (N, C, D, H, W) times the kernel into `out`, image by image."""
    channels, kernel = small.shape[1], _three(weight.shape[2:], 1)
    inner, rows, places = channels // groups, weight[0].size, prod(small.shape[2:])
    weights = weight.reshape(groups, inner, rows).transpose(0, 2, 1)
    offsets = np.arange(inner, dtype=np.int64) * places
    grid = Places(
        (1, 1, 1, places),
        (0, 0, 0, 1),
        (0, 0, 0, 1),
        row_out=places,
        group_in=inner * places,
        group_out=rows * places,
    )
    for image in range(small.shape[0]):
        own = _derived(plan, f"image {image}")
        columns = np.zeros((groups * rows, places), small.dtype)
        flat = np.ascontiguousarray(small[image]).reshape(-1)
        product(flat, offsets, grid, weights, order, columns.reshape(-1), own)
        taps = columns.reshape(-1, *kernel, *small.shape[2:])
        overlap_add(taps, out[image], stride, padding, dilation, own)


def convolution_backward(
    grad: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    output_mask: Sequence[bool],
    *,
    plan: Plan,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of `convolution` for x, weight and bias, rounded by `plan`.

    `grad` has the shape of the output; `output_mask` says which of the three to compute
    (None for the others). The orders are those of `conv_transpose` for x and of MKL for
    the weight and bias; oneDNN's own orders for gradients are not reproduced.
    """
    check_float(grad=grad, x=x, weight=weight)
    _check_shapes(x, weight, groups)
    sizes = (_three(stride, 1), _three(padding, 0), _three(dilation, 1))
    wide_grad = grad.reshape(*grad.shape[:2], *_three(grad.shape[2:], 1))
    wide_x = x.reshape(*x.shape[:2], *_three(x.shape[2:], 1))
    for_x = for_weight = for_bias = None
    if output_mask[0]:
        own = _derived(plan, "input")
        for_x = _input_gradient(wide_grad, weight, wide_x.shape, *sizes, groups, own)
        for_x = for_x.reshape(x.shape)
    if output_mask[1]:
        own = _derived(plan, "weight")
        for_weight = _weight_gradient(wide_grad, wide_x, weight, *sizes, groups, own)
    if output_mask[2]:
        for_bias = bias_gradient(grad, plan=_derived(plan, "bias"))
    return for_x, for_weight, for_bias


def _input_gradient(grad, weight, shape, stride, padding, dilation, groups, plan):
    """Gradient for the input: a transposed convolution of the output's gradient."""
    out = np.zeros(shape, grad.dtype)
    _transpose(grad, weight, stride, padding, dilation, groups, out, plan)
    return out


def _weight_gradient(grad, x, weight, stride, padding, dilation, groups, plan):
    """Gradient for the weight: sums over images and output places."""
    wide = _padded(x, padding)
    into = _strides(wide.shape)
    inner, rows = weight.shape[1], weight.shape[0] // groups
    kernel, taps = _three(weight.shape[2:], 1), prod(weight.shape[1:])
    places = Places(
        (inner, *kernel),
        (into[1], *(s * d for s, d in zip(into[2:], dilation, strict=True))),
        tuple(_strides((inner, *kernel))),
        row_out=taps,
        group_in=inner * into[1],
        group_out=rows * taps,
    )
    steps = (into[0], *(s * t for s, t in zip(into[2:], stride, strict=True)))
    offsets = _outer_sum((grad.shape[0], *grad.shape[2:]), steps)
    across = np.ascontiguousarray(grad.swapaxes(0, 1)).reshape(groups, rows, -1)
    out = np.zeros(weight.shape, grad.dtype)
    order = matmul_order(plan.order, offsets.size)
    product(wide.reshape(-1), offsets, places, across, order, out.reshape(-1), plan)
    return out


def bias_gradient(grad: np.ndarray, *, plan: Plan) -> np.ndarray:
    """Sum of `grad` (N, C, ...) over all but the channels, every addition rounded."""
    rows = np.ascontiguousarray(grad.swapaxes(0, 1)).reshape(grad.shape[1], -1)
    return matmul(rows, np.ones((rows.shape[1], 1), grad.dtype), plan=plan)[:, 0]
