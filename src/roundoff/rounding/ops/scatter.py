"""Accumulation into repeated places: index_add, scatter_add, index_put, embeddings."""

import math

import torch

from roundoff.rounding.dispatch import Call, NoKernel, operator
from roundoff.rounding.kernels import reduction as kernels
from roundoff.rounding.ops.layout import contiguous, flat, working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.threads import run_in_chunks


def accumulate(
    call: Call, start: torch.Tensor, targets: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """`start` with values[i] added at flat place targets[i], in index order."""
    dtype = working(start.dtype)
    out = start.detach().to(dtype).clone(memory_format=torch.contiguous_format)
    values = contiguous(values.to(dtype)).reshape(-1)
    places = contiguous(targets.to(torch.int64)).reshape(-1)
    if values.size:
        run_in_chunks(
            kernels.accumulate,
            values.size,
            call.plan(),
            values,
            places,
            flat(out),
            smallest=values.size,
        )
    call.count(values.size)
    return narrowed(call, out, start.dtype)


@operator("aten.scatter_add.default")
def scatter_add(call: Call, x, dim, index, source):
    """x with source added at `index` along a dimension."""
    if not x.is_floating_point():
        return call.func(x, dim, index, source)
    source = source[tuple(slice(n) for n in index.shape)]
    return accumulate(call, x, flat_places(x.shape, dim, index), source)


def flat_places(shape, dim: int, index: torch.Tensor) -> torch.Tensor:
    """Flat places of a gather index along `dim` in a contiguous tensor of `shape`."""
    dim %= max(len(shape), 1)
    total = torch.zeros(index.shape, dtype=torch.int64)
    for d in range(index.dim()):
        step = math.prod(shape[d + 1 :])
        if d == dim:
            total += torch.where(index < 0, index + shape[d], index) * step
        else:
            view = [1] * index.dim()
            view[d] = -1
            total += torch.arange(index.shape[d]).reshape(view) * step
    return total


@operator("aten.index_add.default")
def index_add(call: Call, x, dim, index, source, *, alpha=1):
    """x with alpha·source added at the rows `index` of a dimension."""
    if not x.is_floating_point():
        return call.func(x, dim, index, source, alpha=alpha)
    if alpha != 1:
        source = call.run(torch.ops.aten.mul.Tensor, source, alpha)
    view = [1] * source.dim()
    view[dim] = -1
    wide = index.reshape(view).expand(source.shape)
    return accumulate(call, x, flat_places(x.shape, dim, wide), source)


@operator("aten.index_put.default", "aten._unsafe_index_put.default")
def index_put(call: Call, x, indices, values, accumulate_values=False):
    """x with values stored (exact) or added at advanced indices."""
    if not accumulate_values or not x.is_floating_point():
        if x.is_floating_point():
            call.exact()
        return call.func(x, indices, values, accumulate_values)
    places = torch.arange(x.numel()).reshape(x.shape)
    chosen = torch.ops.aten.index.Tensor(places, indices)
    return accumulate(call, x, chosen, values.expand(chosen.shape))


@operator("aten.index_put_.default", "aten._index_put_impl_.default")
def index_put_in_place(
    call: Call, x, indices, values, accumulate_values=False, unsafe=False
):
    """In-place form of index_put."""
    return x.copy_(index_put_value(call, x, indices, values, accumulate_values))


def index_put_value(call, x, indices, values, accumulate_values):
    return call.run(
        torch.ops.aten.index_put.default, x, indices, values, accumulate_values
    )


@operator("aten.embedding_dense_backward.default")
def embedding_backward(call: Call, grad, indices, count, padding, by_frequency):
    """Gradient rows added at their words."""
    if by_frequency:
        raise NoKernel
    grad = grad.reshape(-1, grad.shape[-1])
    rows = indices.reshape(-1, 1)
    steps = torch.arange(grad.shape[1])
    places = torch.where(rows == padding, -1, rows * grad.shape[1] + steps)
    return accumulate(call, grad.new_zeros(count, grad.shape[1]), places, grad)


@operator("aten.scatter_reduce.two")
def scatter_reduce(call: Call, x, dim, index, source, reduce, *, include_self=True):
    """Sum and mean round, extrema do not; products have no kernel."""
    if reduce in ("amax", "amin") or not x.is_floating_point():
        call.exact()
        return call.func(x, dim, index, source, reduce, include_self=include_self)
    if reduce != "sum" or not include_self:
        raise NoKernel
    return call.run(torch.ops.aten.scatter_add.default, x, dim, index, source)
