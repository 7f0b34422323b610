"""Run elementwise operations on torch tensors, scalars and broadcasts among them."""

from typing import Any

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, NoKernel
from roundoff.rounding.kernels import elementwise as kernels
from roundoff.rounding.kernels.elementwise import OPERATIONS
from roundoff.rounding.ops.layout import (
    PRECISION,
    flat,
    result_like,
    same_order,
    working,
)
from roundoff.rounding.threads import run_in_chunks

_LOOPS = {1: kernels.map1, 2: kernels.map2, 3: kernels.map3}
_ROWS = {2: kernels.rows2, 3: kernels.rows3}
_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def scalar(call: Call, value: float, dtype: torch.dtype) -> np.floating:
    """Python number as a float of `dtype`; an inexact narrowing is drawn once."""
    if dtype == torch.float64:
        return np.float64(value)
    nearest = np.float32(value)
    if float(nearest) == float(value) or not np.isfinite(nearest):
        return nearest
    out = np.empty(1, np.float32)
    wide = np.array([value], np.float64)
    run_in_chunks(kernels.map1, 1, call.plan(), kernels.Narrow(), wide, out)
    call.count(1)
    return out[0]


def float_type(*operands: Any) -> torch.dtype:
    """Result type of a pointwise operator, floating even for integer operands."""
    dtype = operands[0].dtype if len(operands) == 1 else None
    for operand in operands[1:]:
        first = operands[0] if dtype is None else torch.empty((), dtype=dtype)
        dtype = torch.result_type(first, operand)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    return dtype


def pointwise(
    call: Call, op: Any, *operands: Any, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Apply an elementwise operation to tensors and numbers, with broadcasting.

    `dtype` is the result's; half types are computed in float32 and rounded once more
    to their own precision.
    """
    dtype = dtype or float_type(*operands)
    compute = working(dtype)
    tensors = [o for o in operands if isinstance(o, torch.Tensor)]
    out = result_like(tensors, compute)
    arrays = [_operand(call, o, out, compute) for o in operands]
    if out.numel():
        run_in_chunks(
            _LOOPS[len(arrays)], out.numel(), call.plan(), op, *arrays, flat(out)
        )
    call.count(OPERATIONS[type(op)] * out.numel())
    return narrowed(call, out, dtype)


def _operand(call: Call, value: Any, out: torch.Tensor, dtype: torch.dtype) -> Any:
    if not isinstance(value, torch.Tensor):
        return scalar(call, value, dtype)
    if value.numel() == 1 and out.numel() != 1:
        if value.dtype == torch.float64 and dtype == torch.float32:
            return scalar(call, value.item(), dtype)
        return _NUMPY[dtype](value.item())
    return same_order(value, out)


def per_channel(
    call: Call, op: Any, x: torch.Tensor, *channels: torch.Tensor
) -> torch.Tensor:
    """Apply an operation of x (N, C, ...) and one value per channel, x's float type."""
    x = x.contiguous()
    out = torch.empty_like(x)
    inner = int(np.prod(x.shape[2:], dtype=np.int64)) if x.dim() > 1 else 1
    rows = x.numel() // inner if inner else 0
    values = [flat(c.to(x.dtype).contiguous()) for c in channels]
    if out.numel():
        run_in_chunks(
            _ROWS[1 + len(values)],
            rows,
            call.plan(),
            op,
            flat(x),
            *values,
            np.int64(inner),
            flat(out),
            smallest=max(1, 4096 // inner),
        )
    call.count(OPERATIONS[type(op)] * out.numel())
    return out


def narrowed(call: Call, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert to a narrower float type, rounding at random where it is inexact."""
    if value.dtype == dtype:
        return value
    if dtype in PRECISION:
        return _to_half(call, value, dtype)
    if value.dtype == torch.float64 and dtype == torch.float32:
        return pointwise_cast(call, value)
    return value.to(dtype)


def pointwise_cast(call: Call, value: torch.Tensor) -> torch.Tensor:
    """float64 to float32, one rounding per element."""
    out = torch.empty_like(value, dtype=torch.float32)
    source = same_order(value, torch.empty_like(value))
    if out.numel():
        run_in_chunks(
            kernels.map1, out.numel(), call.plan(), kernels.Narrow(), source, flat(out)
        )
    call.count(out.numel())
    return out


def _to_half(call: Call, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """float32 or float64 to a half type: its neighbours are enclosed exactly."""
    mode = call.plan_mode
    nearest = value.to(dtype)
    back = nearest.to(torch.float64)
    exact = value.to(torch.float64)
    inexact = (back != exact) & torch.isfinite(back)
    toward = torch.where(exact > back, torch.inf, -torch.inf).to(dtype)
    other = torch.nextafter(nearest, toward)
    gap = (other.to(torch.float64) - back).abs()
    share = (exact - back).abs() / gap  # probability of the farther neighbour
    choose = _half_choice(call, mode, exact, back, share)
    call.count(value.numel())
    return torch.where(inexact & torch.isfinite(other) & choose, other, nearest)


def _half_choice(call, mode, exact, back, share):
    if mode == "nearest":
        return torch.zeros_like(exact, dtype=torch.bool)
    if mode == "upward":
        return exact > back
    if mode == "downward":
        return exact < back
    if mode == "toward_zero":
        return exact.abs() < back.abs()
    draw = np.random.Generator(np.random.Philox(call.key()))
    uniform = torch.from_numpy(draw.random(exact.shape))
    return uniform < (0.5 if mode == "random" else share)


def through_double(
    call: Call,
    function: Any,
    *operands: Any,
    dtype: torch.dtype | None = None,
    extended: Any = None,
) -> torch.Tensor:
    """Compute in float64 with ordinary rounding, then round the result once.

    `libm="output"` and the functions whose inside must not be perturbed. float64
    results are rounded from `extended`, the same function on NumPy's long doubles;
    without it (or without long doubles) float64 is unsupported.
    """
    dtype = dtype or float_type(*operands)
    wide = [
        o.to(torch.float64) if isinstance(o, torch.Tensor) else float(o)
        for o in operands
    ]
    exact = function(*wide)
    if call.libm == "exclude":
        call.count(0)
        return exact.to(dtype)
    if dtype == torch.float64:
        return _from_extended(call, exact, extended, wide)
    return narrowed(call, exact, dtype)


def _from_extended(call: Call, nearest, extended, wide) -> torch.Tensor:
    """float64 result rounded at random from the extended value NumPy computes.

    The sign and the size of the rest decide; 11 more bits are enough for both.
    """
    if extended is None or np.finfo(np.longdouble).nmant <= 52:
        raise NoKernel
    values = [w.numpy() if isinstance(w, torch.Tensor) else w for w in wide]
    with np.errstate(all="ignore"):
        value = extended(*(np.asarray(v, np.longdouble) for v in values))
        near = value.astype(np.float64)
        rest = torch.from_numpy(np.asarray(value - near, np.float64))
    near = torch.from_numpy(np.asarray(near))
    finite = torch.isfinite(near)
    total = call.run(torch.ops.aten.add.Tensor, near, torch.where(finite, rest, 0))
    return torch.where(finite, total, nearest)
