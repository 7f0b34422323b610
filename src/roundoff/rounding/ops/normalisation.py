"""Batch, instance, group and layer normalisation (instance norm arrives as batch)."""

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import normalisation as kernels
from roundoff.rounding.kernels.elementwise import Horner
from roundoff.rounding.ops.layout import contiguous, flat, working
from roundoff.rounding.ops.pointwise import narrowed, per_channel, scalar
from roundoff.rounding.threads import run_in_chunks


@operator("aten.native_batch_norm.default", "aten._native_batch_norm_legit.default")
def batch_norm(
    call: Call, x, weight, bias, running_mean, running_var, training, momentum, eps
):
    """One fma per element; statistics of a training batch accumulate in float64."""
    dtype = x.dtype
    x = x.to(working(dtype))
    if training:
        mean, invstd, variance = _batch_statistics(call, x, eps)
        _update(call, running_mean, mean, momentum)
        _update(call, running_var, variance, momentum)
        saved = (mean, invstd)
    else:
        mean = running_mean.to(x.dtype)
        invstd = _inverse_std(call, running_var.to(x.dtype), eps)
        saved = (x.new_empty(0), x.new_empty(0))
    scale, shift = linear_terms(call, invstd, mean, weight, bias)
    y = per_channel(call, Horner(), x, scale, shift)
    return narrowed(call, y, dtype), *saved


@operator("aten._native_batch_norm_legit.no_stats")
def batch_norm_no_stats(call: Call, x, weight, bias, training, momentum, eps):
    """Batch norm by the batch's own statistics."""
    return batch_norm(call, x, weight, bias, None, None, True, momentum, eps)


@operator("aten._native_batch_norm_legit_no_training.default")
def batch_norm_inference(
    call: Call, x, weight, bias, running_mean, running_var, momentum, eps
):
    """Batch norm by stored statistics."""
    return batch_norm(
        call, x, weight, bias, running_mean, running_var, False, momentum, eps
    )


def linear_terms(call: Call, invstd, mean, weight, bias):
    """Scale and shift per channel (tensors of mean's type and shape)."""
    weight = torch.ones_like(mean) if weight is None else weight.to(mean.dtype)
    bias = torch.zeros_like(mean) if bias is None else bias.to(mean.dtype)
    scale, shift = torch.empty_like(mean), torch.empty_like(mean)
    arrays = [contiguous(t) for t in (invstd, mean, weight, bias)]
    run_in_chunks(
        kernels.linear_terms,
        mean.numel(),
        call.plan(),
        *arrays,
        flat(scale),
        flat(shift),
    )
    call.count(2 * mean.numel())
    return scale, shift


def _inverse_std(call: Call, variance: torch.Tensor, eps: float) -> torch.Tensor:
    out = torch.empty_like(variance)
    small, one = scalar(call, eps, variance.dtype), scalar(call, 1.0, variance.dtype)
    run_in_chunks(
        kernels.inverse_std,
        out.numel(),
        call.plan(),
        contiguous(variance),
        small,
        one,
        flat(out),
    )
    call.count(3 * out.numel())
    return out


def _batch_statistics(call: Call, x: torch.Tensor, eps: float):
    """(mean, 1/std, unbiased variance) per channel of x (N, C, ...)."""
    channels = x.shape[1]
    values = contiguous(x).reshape(x.shape[0], channels, -1)
    count = values.shape[0] * values.shape[2]
    mean, invstd = x.new_empty(channels), x.new_empty(channels)
    square = np.empty(channels)
    run_in_chunks(
        kernels.channel_moments,
        channels,
        call.plan(),
        values,
        flat(mean),
        square,
        smallest=1,
    )
    run_in_chunks(
        kernels.inverse_std64,
        channels,
        call.plan(),
        square,
        np.int64(count),
        float(eps),
        flat(invstd),
    )
    call.count(4 * x.numel() + 7 * channels)
    variance = torch.from_numpy(square / max(count - 1, 1)).to(x.dtype)
    return mean, invstd, variance


def _update(call: Call, running, batch: torch.Tensor, momentum: float) -> None:
    """running ← momentum·batch + (1 - momentum)·running, in place."""
    if running is None:
        return
    aten = torch.ops.aten
    old = call.run(aten.mul.Tensor, running, 1 - momentum)
    new = call.run(aten.mul.Tensor, batch.to(running.dtype), momentum)
    running.copy_(call.run(aten.add.Tensor, new, old))


def _moments(call: Call, rows: torch.Tensor, eps: float):
    """(mean, 1/std) of each row."""
    count, length = rows.shape
    mean, square = rows.new_empty(count), rows.new_empty(count)
    one = flat(torch.ones(1, dtype=rows.dtype))[0]
    run_in_chunks(
        kernels.group_moments,
        count,
        call.plan(),
        contiguous(rows),
        one,
        flat(mean),
        flat(square),
        smallest=max(1, 4096 // length),
    )
    call.count(5 * rows.numel())
    variance = call.run(torch.ops.aten.div.Tensor, square, float(length))
    return mean, _inverse_std(call, variance, eps)


@operator("aten.native_layer_norm.default")
def layer_norm(call: Call, x, shape, weight, bias, eps):
    """Running moments per row, then 3 roundings per element."""
    dtype = x.dtype
    length = int(np.prod(shape, dtype=np.int64))
    rows = x.to(working(dtype)).reshape(-1, length).contiguous()
    kept = (*x.shape[: x.dim() - len(shape)], *[1] * len(shape))
    mean, rstd = _moments(call, rows, eps)
    weight = rows.new_ones(length) if weight is None else weight.to(rows.dtype)
    bias = rows.new_zeros(length) if bias is None else bias.to(rows.dtype)
    out = torch.empty_like(rows)
    arrays = [contiguous(t).reshape(-1) for t in (mean, rstd, weight, bias)]
    run_in_chunks(
        kernels.normalise_rows,
        rows.shape[0],
        call.plan(),
        contiguous(rows),
        *arrays,
        out.numpy(),
        smallest=max(1, 4096 // length),
    )
    call.count(3 * rows.numel())
    y = narrowed(call, out.reshape(x.shape), dtype)
    return y, mean.reshape(kept), rstd.reshape(kept)


@operator("aten.native_group_norm.default")
def group_norm(call: Call, x, weight, bias, n, channels, inner, groups, eps):
    """Running moments per group, then one fma per element."""
    dtype = x.dtype
    values = x.to(working(dtype)).contiguous()
    mean, rstd = _moments(call, values.reshape(n * groups, -1), eps)
    wide = channels // groups
    per = [t.repeat_interleave(wide) for t in (rstd, mean)]
    weight = None if weight is None else weight.repeat(n)
    bias = None if bias is None else bias.repeat(n)
    scale, shift = linear_terms(call, *per, weight, bias)
    y = per_channel(call, Horner(), values.reshape(1, n * channels, -1), scale, shift)
    y = narrowed(call, y.reshape(x.shape), dtype)
    return y, mean.reshape(n, groups), rstd.reshape(n, groups)
