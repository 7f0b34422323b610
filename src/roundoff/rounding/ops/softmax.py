"""Softmax and log-softmax over any dimension."""

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import softmax as kernels
from roundoff.rounding.ops.pointwise import narrowed, through_double
from roundoff.rounding.threads import run_in_chunks

aten = torch.ops.aten


def _columns(x: torch.Tensor, dim: int) -> np.ndarray:
    """x as float32 (outer, length, inner)."""
    dim = dim % max(x.dim(), 1)
    x = x.detach().to(torch.float32).contiguous()
    shape = x.shape or (1,)
    outer = int(np.prod(shape[:dim], dtype=np.int64))
    inner = int(np.prod(shape[dim + 1 :], dtype=np.int64))
    return x.numpy().reshape(outer, shape[dim], inner)


def _exponentials(call: Call, columns: np.ndarray):
    """exp(x - max), the maxima and the sums of every column."""
    outer, length, inner = columns.shape
    out = np.empty_like(columns)
    if inner == 1:
        largest, lanes = np.empty(outer, np.float32), np.empty((outer, 8), np.float32)
        rows = columns[:, :, 0], out[:, :, 0]
        run_in_chunks(
            kernels.exponential_rows,
            outer,
            call.plan(),
            np.ascontiguousarray(rows[0]),
            out.reshape(outer, length),
            largest,
            lanes,
            smallest=max(1, 4096 // length),
        )
        call.count(13 * columns.size + 7 * outer)
        return out, largest[:, None], lanes
    largest, sums = np.empty((2, outer, inner), np.float32)
    blocks = -(-inner // kernels.BLOCK)
    run_in_chunks(
        kernels.exponentials,
        outer * blocks,
        call.plan(),
        columns,
        out,
        largest,
        sums,
        smallest=max(1, 4096 // (length * kernels.BLOCK)),
    )
    call.count(13 * columns.size)
    return out, largest, sums


def _in_parts(call: Call, x: torch.Tensor, dim: int) -> torch.Tensor:
    top = x.amax(dim, keepdim=True)
    e = call.run(aten.exp.default, call.run(aten.sub.Tensor, x, top))
    total = call.run(aten.sum.dim_IntList, e, [dim], True)
    return call.run(aten.div.Tensor, e, total)


@operator("aten._softmax.default")
def softmax(call: Call, x: torch.Tensor, dim: int, half_to_float: bool) -> torch.Tensor:
    """exp(x - max) over its sum: a product by the reciprocal in the last dimension,
    a quotient in the others."""
    dtype = torch.float32 if half_to_float else x.dtype
    if x.numel() == 0:
        return call.func(x, dim, half_to_float)
    if dtype == torch.float64 or call.libm != "internal":
        return _in_parts(call, x, dim)
    columns = _columns(x, dim)
    e, _, sums = _exponentials(call, columns)
    outer, length, inner = columns.shape
    out = np.empty_like(e)
    if inner == 1:
        run_in_chunks(
            kernels.scale_rows,
            outer,
            call.plan(),
            e.reshape(outer, length),
            sums,
            np.float32(1),
            out.reshape(outer, length),
            smallest=max(1, 4096 // length),
        )
        call.count(outer)
    else:
        run_in_chunks(
            kernels.divide,
            outer * length,
            call.plan(),
            e,
            sums,
            out,
            smallest=max(1, 4096 // inner),
        )
    call.count(out.size)
    return narrowed(call, torch.from_numpy(out).reshape(x.shape), dtype)


@operator("aten._log_softmax.default")
def log_softmax(call: Call, x, dim: int, half_to_float: bool) -> torch.Tensor:
    """(x - max) - log(sum of exp(x - max)); the logarithm is rounded once."""
    dtype = torch.float32 if half_to_float else x.dtype
    if x.numel() == 0:
        return call.func(x, dim, half_to_float)
    if dtype == torch.float64 or call.libm != "internal":
        return call.run(aten.log.default, _in_parts(call, x, dim))
    columns = _columns(x, dim)
    outer, length, inner = columns.shape
    _, largest, sums = _exponentials(call, columns)
    sums = np.ascontiguousarray(sums[:, :inner])
    logs = through_double(call, torch.log, torch.from_numpy(sums)).numpy()
    out = np.empty_like(columns)
    run_in_chunks(
        kernels.subtract_twice,
        outer * length,
        call.plan(),
        columns,
        largest,
        logs,
        out,
        smallest=max(1, 4096 // inner),
    )
    call.count(2 * out.size)
    return narrowed(call, torch.from_numpy(out).reshape(x.shape), dtype)
