"""Gradients of average pooling, interpolation and grid_sample.

Each output sends weighted shares of its gradient to a few inputs; the shares are
products and their accumulation, in the order of the outputs, rounds once per share.
"""

import itertools

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, NoKernel, operator
from roundoff.rounding.ops.arithmetic import Arithmetic
from roundoff.rounding.ops.interpolation import linear_axis
from roundoff.rounding.ops.layout import working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.ops.pooling import Window, adaptive_windows, pooled_windows
from roundoff.rounding.ops.scatter import accumulate

aten = torch.ops.aten
BILINEAR, ZEROS, BORDER = 0, 0, 1


def _send(
    call: Call, shares: list[torch.Tensor], places: list[torch.Tensor], like, shape
) -> torch.Tensor:
    """Accumulate shares (planes, outputs) at places (outputs) of planes of `shape`.

    A place of -1 receives nothing.
    """
    planes, size = shares[0].shape[0], int(np.prod(shape[2:]))
    values = torch.stack(shares, -1)
    places = torch.stack(places, -1)
    base = torch.arange(planes).reshape(-1, 1, 1) * size
    targets = torch.where(places < 0, -1, places + base)
    return accumulate(call, values.new_zeros(shape), targets, values)


# -- average pooling -------------------------------------------------------------------


def _pool_gradient(call: Call, grad, x, axes: list[Window], divisors) -> torch.Tensor:
    r = Arithmetic(call)
    dims = len(axes)
    out = [edge.shape[1] for edge, _ in axes]
    share = grad.to(working(grad.dtype))
    for divisor in divisors:
        full = np.broadcast_to(divisor, [1] * (3 - dims) + out).reshape(out)
        share = r.div(share, torch.from_numpy(full.copy()).to(share.dtype))
    share = share.reshape(-1, int(np.prod(out)))
    reach = [range(int((edge[1] - edge[0]).max())) for edge, _ in axes]
    shares, places = [], []
    for tap in itertools.product(*reach):
        place, inside = np.zeros(out, np.int64), np.ones(out, bool)
        for d, (edge, _) in enumerate(axes):
            index = edge[0] + tap[d]
            view = [1] * dims
            view[d] = -1
            inside &= (index < edge[1]).reshape(view)
            place = place * x.shape[d - dims] + index.reshape(view)
        places.append(torch.from_numpy(np.where(inside, place, -1).reshape(-1)))
        shares.append(share)
    lead = (1, share.shape[0], *x.shape[x.dim() - dims :])
    total = _send(call, shares, places, x, lead).reshape(x.shape)
    return narrowed(call, total, grad.dtype)


@operator("aten.avg_pool2d_backward.default", "aten.avg_pool3d_backward.default")
def average_pool_backward(
    call: Call, grad, x, kernel, stride, padding, ceil, include_pad, divisor
):
    """grad / divisor, added at every tap of its window."""
    dims = 3 if "3d" in call.name else 2
    axes, divisors = pooled_windows(
        x, dims, kernel, stride, padding, ceil, include_pad, divisor
    )
    return _pool_gradient(call, grad, x, axes, [divisors])


@operator(
    "aten._adaptive_avg_pool2d_backward.default",
    "aten._adaptive_avg_pool3d_backward.default",
)
def adaptive_average_pool_backward(call: Call, grad, x):
    """grad over the window's sides, added at every tap."""
    dims = 3 if "3d" in call.name else 2
    axes, first, last = adaptive_windows(x, grad.shape[-dims:])
    return _pool_gradient(call, grad, x, axes, [first, last])


# -- interpolation ---------------------------------------------------------------------


def _linear_gradient(call: Call, grad, shape, align, factors) -> torch.Tensor:
    r = Arithmetic(call)
    dtype, size = working(grad.dtype), grad.shape[2:]
    dims = len(size)
    axes = [
        linear_axis(call, dtype, shape[2 + d], size[d], align, factors[d])
        for d in range(dims)
    ]
    planes = grad.to(dtype).reshape(-1, *size)
    shares, places = [], []
    for corner in itertools.product((0, 1), repeat=dims):
        place, weight = torch.zeros(size, dtype=torch.int64), None
        for d, side in enumerate(corner):
            index, weights = axes[d]
            view = [1] * dims
            view[d] = -1
            place = place * shape[2 + d] + torch.from_numpy(index[side]).reshape(view)
            own = torch.from_numpy(weights[side].copy()).reshape(view)
            weight = own if weight is None else r.mul(weight, own)
        shares.append(r.mul(planes, weight).reshape(planes.shape[0], -1))
        places.append(place.reshape(-1))
    return narrowed(call, _send(call, shares, places, grad, shape), grad.dtype)


@operator(
    "aten.upsample_linear1d_backward.default",
    "aten.upsample_bilinear2d_backward.default",
    "aten.upsample_trilinear3d_backward.default",
)
def linear_backward(call: Call, grad, _size, shape, align, *factors):
    """grad times the two weights per axis, added at the 2, 4 or 8 corners."""
    factors = [*factors, None, None, None][: len(shape) - 2]
    return _linear_gradient(call, grad, list(shape), align, factors)


def _nearest_backward(name: str, exact: bool) -> None:
    dims = int(name[-len("d_backward") - 1])

    @operator(f"aten.{name}.default")
    def handler(call: Call, grad, _size, shape, *factors):
        factors = [*factors, *[None] * dims][:dims]
        place = torch.zeros(grad.shape[2:], dtype=torch.int64)
        for d in range(dims):
            target, source = grad.shape[2 + d], shape[2 + d]
            step = 1 / factors[d] if factors[d] else source / target
            index = (torch.arange(target) + (0.5 if exact else 0.0)) * step
            view = [1] * dims
            view[d] = -1
            index = index.floor().to(torch.int64).clamp(max=source - 1)
            place = place * source + index.reshape(view)
        value = grad.to(working(grad.dtype))
        value = value.reshape(-1, place.numel())
        total = _send(call, [value], [place.reshape(-1)], grad, list(shape))
        return narrowed(call, total, grad.dtype)


for _dims in (1, 2, 3):
    _nearest_backward(f"upsample_nearest{_dims}d_backward", exact=False)
    _nearest_backward(f"_upsample_nearest_exact{_dims}d_backward", exact=True)


# -- grid_sample -----------------------------------------------------------------------


@operator(
    "aten.grid_sampler_2d_backward.default", "aten.grid_sampler_3d_backward.default"
)
def grid_sample_backward(call: Call, grad, x, grid, mode, padding, align, mask):
    """Linear sampling with zeros or border padding, for the image and the grid."""
    if mode != BILINEAR or padding not in (ZEROS, BORDER):
        raise NoKernel
    r, dims = Arithmetic(call), grid.shape[-1]
    n, channels = x.shape[:2]
    points = grid.reshape(n, -1, dims)
    grad = grad.reshape(n, channels, -1)
    cells, sides, slopes = [], [], []
    for d in range(dims):  # grid order x, y, z; d-th from the end in x's shape
        size = x.shape[-1 - d]
        scale = (size - 1) / 2 if align else size / 2
        place = r.mul(r.add(points[..., d], 1.0), scale)
        place = place if align else r.sub(place, 0.5)
        slope = torch.full_like(place, scale)
        if padding == BORDER:
            slope = torch.where((place > 0) & (place < size - 1), slope, 0)
            place = place.clamp(0, size - 1)
        cell = place.floor()
        high = r.sub(place, cell)
        cells.append(cell.to(torch.int64))
        sides.append((r.sub(torch.ones_like(high), high), high))
        slopes.append(slope)
    for_grid = [torch.zeros_like(slope) for slope in slopes]
    shares, places = [], []
    flat = x.reshape(n, channels, -1)
    for corner in itertools.product((0, 1), repeat=dims):
        place, inside = _corner(x, cells, corner)
        weight = _product(r, [sides[d][corner[d]] for d in range(dims)])
        if mask[0]:
            shares.append(r.mul(grad, weight[:, None]))
            places.append(torch.where(inside, place, -1))
        if mask[1]:
            index = torch.where(inside, place, 0)[:, None].expand(-1, channels, -1)
            value = torch.where(inside[:, None], flat.gather(2, index), 0)
            along = r.sum(r.mul(value, grad), [1])
            for d in range(dims):
                others = [sides[k][corner[k]] for k in range(dims) if k != d]
                change = r.mul(along, _product(r, others))
                for_grid[d] = r.add(for_grid[d], change if corner[d] else -change)
    for_x = _to_image(call, shares, places, x) if mask[0] else None
    if mask[1]:
        axes = [r.mul(g, s) for g, s in zip(for_grid, slopes, strict=True)]
        return for_x, torch.stack(axes, -1).reshape(grid.shape)
    return for_x, None


def _product(r: Arithmetic, factors: list[torch.Tensor]) -> torch.Tensor:
    total = factors[0]
    for factor in factors[1:]:
        total = r.mul(total, factor)
    return total


def _corner(x: torch.Tensor, cells, corner):
    """Flat place in a plane and whether it is inside, for every point."""
    place = torch.zeros_like(cells[0])
    inside = torch.ones_like(place, dtype=torch.bool)
    for d in reversed(range(len(corner))):
        size = x.shape[-1 - d]
        index = cells[d] + corner[d]
        inside &= (index >= 0) & (index < size)
        place = place * size + index
    return place, inside


def _to_image(call: Call, shares, places, x: torch.Tensor) -> torch.Tensor:
    """Accumulate shares (N, C, P) at places (N, P) of x's planes."""
    n, channels = x.shape[:2]
    size = x[0, 0].numel()
    values = torch.stack(shares, -1)
    place = torch.stack(places, -1)[:, None].expand(-1, channels, -1, -1)
    base = torch.arange(n * channels).reshape(n, channels, 1, 1) * size
    targets = torch.where(place < 0, -1, place + base)
    return accumulate(call, torch.zeros(x.shape, dtype=x.dtype), targets, values)
