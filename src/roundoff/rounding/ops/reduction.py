"""Sums, means, variances, norms and running sums."""

import math
from typing import Any

import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import reduction as kernels
from roundoff.rounding.ops.layout import contiguous, flat, working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.threads import run_in_chunks

aten = torch.ops.aten


def _dims(x: torch.Tensor, dim: Any) -> list[int]:
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return list(range(x.dim()))
    dims = [dim] if isinstance(dim, int) else list(dim)
    return sorted({d % max(x.dim(), 1) for d in dims})


def _reduced_shape(x: torch.Tensor, dims: list[int], keepdim: bool) -> list[int]:
    if keepdim:
        return [1 if d in dims else n for d, n in enumerate(x.shape)]
    return [n for d, n in enumerate(x.shape) if d not in dims]


def _row_sums(call: Call, rows: torch.Tensor) -> torch.Tensor:
    out = rows.new_zeros(rows.shape[0])
    if rows.numel():
        run_in_chunks(
            kernels.row_sums,
            rows.shape[0],
            call.plan(),
            contiguous(rows),
            flat(out),
            smallest=max(1, 4096 // rows.shape[1]),
        )
    call.count(rows.numel())
    return out


def _column_sums(call: Call, x: torch.Tensor) -> torch.Tensor:
    """Sum over the middle of (outer, length, inner)."""
    outer, length, inner = x.shape
    out = x.new_zeros(outer, inner)
    if x.numel():
        run_in_chunks(
            kernels.column_sums,
            outer * -(-inner // kernels.WIDTH),
            call.plan(),
            contiguous(x),
            out.numpy(),
            smallest=max(1, 4096 // (length * kernels.WIDTH)),
        )
    call.count(x.numel())
    return out


def sum_over(call: Call, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
    """Sum of x (float32 or float64) over sorted dims, removed from the result.

    Trailing dimensions first, as rows; the others after it, from the inside out.
    """
    x = x.contiguous()
    trailing = []
    while dims and dims[-1] == x.dim() - 1 - len(trailing):
        trailing.append(dims.pop())
    if trailing:
        kept = x.shape[: x.dim() - len(trailing)]
        length = math.prod(x.shape[len(kept) :])
        rows = x.reshape(math.prod(kept), length)
        x = _row_sums(call, rows).reshape(kept)
    for dim in reversed(dims):
        before, after = x.shape[:dim], x.shape[dim + 1 :]
        middle = x.reshape(math.prod(before), x.shape[dim], math.prod(after))
        x = _column_sums(call, middle).reshape(*before, *after)
    return x


@operator("aten.sum.default", "aten.sum.dim_IntList")
def total(call: Call, x, dim=None, keepdim=False, dtype=None) -> torch.Tensor:
    """Sum in PyTorch's cascade order, one rounding per term."""
    if not (x.is_floating_point() or (dtype and dtype.is_floating_point)):
        return call.func(*((x,) if dim is None else (x, dim, keepdim)), dtype=dtype)
    dtype = dtype or x.dtype
    dims = _dims(x, dim)
    wide = call.run(aten._to_copy.default, x, dtype=working(dtype))
    result = sum_over(call, wide, list(dims))
    result = result.reshape(_reduced_shape(x, dims, keepdim))
    return narrowed(call, result, dtype)


@operator("aten.mean.default", "aten.mean.dim")
def mean(call: Call, x, dim=None, keepdim=False, dtype=None) -> torch.Tensor:
    """The sum, then one division."""
    dtype = dtype or x.dtype
    dims = _dims(x, dim)
    count = math.prod(x.shape[d] for d in dims)
    value = total(call, x, dims, keepdim, working(dtype)) if dims else x
    value = call.run(aten.div.Tensor, value, float(count))
    return narrowed(call, value, dtype)


def _variance(call: Call, x, dim, correction, keepdim):
    """(variance, mean), accumulated in float64 and narrowed once."""
    dims = _dims(x, dim)
    wide = x.to(torch.float64)
    count = math.prod(x.shape[d] for d in dims)
    centre = call.run(aten.mean.dim, wide, dims, True)
    distance = call.run(aten.sub.Tensor, wide, centre)
    square = call.run(aten.mul.Tensor, distance, distance)
    spread = call.run(aten.sum.dim_IntList, square, dims, keepdim)
    divisor = max(count - (1 if correction is None else correction), 0)
    variance = call.run(aten.div.Tensor, spread, float(divisor))
    return variance, centre.reshape(variance.shape)


def _narrow(call: Call, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return call.run(aten._to_copy.default, value, dtype=dtype)


@operator("aten.var.correction")
def variance(call: Call, x, dim=None, *, correction=None, keepdim=False):
    """Variance in float64, one narrowing conversion at the end."""
    return _narrow(call, _variance(call, x, dim, correction, keepdim)[0], x.dtype)


@operator("aten.std.correction")
def deviation(call: Call, x, dim=None, *, correction=None, keepdim=False):
    """Square root of the float64 variance, narrowed at the end."""
    value = _variance(call, x, dim, correction, keepdim)[0]
    return _narrow(call, call.run(aten.sqrt.default, value), x.dtype)


@operator("aten.var_mean.correction")
def variance_and_mean(call: Call, x, dim=None, *, correction=None, keepdim=False):
    """Variance and mean, both narrowed from float64."""
    pair = _variance(call, x, dim, correction, keepdim)
    return tuple(_narrow(call, value, x.dtype) for value in pair)


@operator("aten.std_mean.correction")
def deviation_and_mean(call: Call, x, dim=None, *, correction=None, keepdim=False):
    """Standard deviation and mean, both narrowed from float64."""
    value, centre = _variance(call, x, dim, correction, keepdim)
    root = call.run(aten.sqrt.default, value)
    return _narrow(call, root, x.dtype), _narrow(call, centre, x.dtype)


@operator("aten.cumsum.default")
def running_sum(call: Call, x, dim, *, dtype=None) -> torch.Tensor:
    """Cumulative sum: float64 accumulator, one conversion per element."""
    if not (x.is_floating_point() or (dtype and dtype.is_floating_point)):
        return call.func(x, dim, dtype=dtype)
    dtype = dtype or x.dtype
    value = x.to(working(dtype)).contiguous()
    if value.dim() == 0 or value.numel() == 0:
        return value.to(dtype, copy=True)
    dim %= value.dim()
    shape = value.shape
    outer, inner = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    out = torch.empty_like(value)
    wide = value.dtype == torch.float64
    run_in_chunks(
        kernels.running_sums64 if wide else kernels.running_sums,
        outer * inner,
        call.plan(),
        contiguous(value).reshape(outer, shape[dim], inner),
        out.numpy().reshape(outer, shape[dim], inner),
        smallest=max(1, 4096 // shape[dim]),
    )
    call.count((1 if wide else 2) * value.numel())
    return narrowed(call, out, dtype)


@operator("aten.linalg_vector_norm.default")
def vector_norm(call: Call, x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum of |x|**ord)**(1 / ord); 0 and infinite orders do not round."""
    dims = _dims(x, dim)
    if ord in (0, math.inf, -math.inf):
        call.exact()
        return call.func(x, ord, dim, keepdim, dtype=dtype)
    size = x.abs()
    if ord == 2:
        size = call.run(aten.mul.Tensor, x, x)
    elif ord != 1:
        size = call.run(aten.pow.Tensor_Scalar, size, ord)
    value = call.run(aten.sum.dim_IntList, size, dims, keepdim, dtype=dtype)
    if ord == 1:
        return value
    if ord == 2:
        return call.run(aten.sqrt.default, value)
    return call.run(aten.pow.Tensor_Scalar, value, 1 / ord)


@operator("aten.norm.Scalar", "aten.norm.ScalarOpt_dim")
def norm(call: Call, x, p=2, dim=None, keepdim=False):
    """Vector norm under its older name."""
    p = 2 if p is None else p
    return call.run(aten.linalg_vector_norm.default, x, p, dim, keepdim)


@operator("aten.logsumexp.default")
def logsumexp(call: Call, x, dim, keepdim=False):
    """max + log of the sum of exp(x - max)."""
    top = x.amax(dim, keepdim=True)
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    e = call.run(aten.exp.default, call.run(aten.sub.Tensor, x, top))
    logs = call.run(aten.log.default, call.run(aten.sum.dim_IntList, e, dim, True))
    value = call.run(aten.add.Tensor, logs, top)
    return value if keepdim else value.reshape(_reduced_shape(x, _dims(x, dim), False))


@operator("aten.prod.default", "aten.prod.dim_int")
def product(call: Call, x, dim=None, keepdim=False, *, dtype=None):
    """Product, one rounding per factor, in index order."""
    if not x.is_floating_point():
        arguments = (x,) if dim is None else (x, dim, keepdim)
        return call.func(*arguments, dtype=dtype)
    value = x.to(dtype or x.dtype)
    value, axis = (value.reshape(-1), 0) if dim is None else (value, dim)
    parts = value.unbind(axis)
    result = parts[0] if parts else torch.ones((), dtype=value.dtype)
    for part in parts[1:]:
        result = call.run(aten.mul.Tensor, result, part)
    return result.unsqueeze(axis) if keepdim and dim is not None else result.clone()
