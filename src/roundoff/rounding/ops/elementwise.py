"""Arithmetic, roots and elementary functions of tensors and scalars."""

from typing import Any

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels.elementwise import (
    Add,
    AddDiv,
    AddMul,
    AddScaled,
    Div,
    Exp,
    Lerp,
    Mul,
    Rsqrt,
    Sigmoid,
    Sqrt,
    Sub,
)
from roundoff.rounding.ops.pointwise import (
    float_type,
    pointwise,
    scalar,
    through_double,
)

aten = torch.ops.aten


def _integers(*operands: Any) -> bool:
    return not any(
        (isinstance(o, torch.Tensor) and o.is_floating_point()) or isinstance(o, float)
        for o in operands
    )


@operator("aten.add.Tensor", "aten.add.Scalar")
def add(call: Call, x: Any, y: Any, alpha: Any = 1) -> torch.Tensor:
    """x + alpha·y: one fused rounding per element."""
    if _integers(x, y, alpha):
        return call.func(x, y, alpha=alpha)
    if alpha == 1:
        return pointwise(call, Add(), x, y)
    dtype = float_type(x, y)
    return pointwise(call, AddScaled(scalar(call, alpha, dtype)), x, y, dtype=dtype)


@operator("aten.sub.Tensor", "aten.sub.Scalar")
def sub(call: Call, x: Any, y: Any, alpha: Any = 1) -> torch.Tensor:
    """x - alpha·y."""
    if _integers(x, y, alpha):
        return call.func(x, y, alpha=alpha)
    if alpha == 1:
        return pointwise(call, Sub(), x, y)
    dtype = float_type(x, y)
    return pointwise(call, AddScaled(scalar(call, -alpha, dtype)), x, y, dtype=dtype)


@operator("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(call: Call, x: Any, y: Any, alpha: Any = 1) -> torch.Tensor:
    """y - alpha·x."""
    if _integers(x, y, alpha):
        return call.func(x, y, alpha=alpha)
    dtype = float_type(x, y)
    if alpha == 1:
        return pointwise(call, Sub(), y, x, dtype=dtype)
    return pointwise(call, AddScaled(scalar(call, -alpha, dtype)), y, x, dtype=dtype)


@operator("aten.mul.Tensor", "aten.mul.Scalar")
def mul(call: Call, x: Any, y: Any) -> torch.Tensor:
    """x·y."""
    if _integers(x, y):
        return call.func(x, y)
    return pointwise(call, Mul(), x, y)


@operator("aten.div.Tensor", "aten.div.Scalar")
def div(call: Call, x: Any, y: Any) -> torch.Tensor:
    """x / y; integers are converted first, without rounding noise."""
    return pointwise(call, Div(), x, y)


@operator("aten.reciprocal.default")
def reciprocal(call: Call, x: torch.Tensor) -> torch.Tensor:
    """1 / x."""
    return pointwise(call, Div(), 1.0, x, dtype=float_type(x))


@operator("aten.addcmul.default")
def addcmul(call: Call, x, y, z, value: Any = 1) -> torch.Tensor:
    """x + value·y·z: one product, one fused multiply-add."""
    dtype = float_type(x, y, z)
    return pointwise(call, AddMul(scalar(call, value, dtype)), x, y, z, dtype=dtype)


@operator("aten.addcdiv.default")
def addcdiv(call: Call, x, y, z, value: Any = 1) -> torch.Tensor:
    """x + value·y / z."""
    dtype = float_type(x, y, z)
    return pointwise(call, AddDiv(scalar(call, value, dtype)), x, y, z, dtype=dtype)


@operator("aten.lerp.Scalar", "aten.lerp.Tensor")
def lerp(call: Call, start, end, weight: Any) -> torch.Tensor:
    """start + weight·(end - start), taken from the nearer end."""
    return pointwise(call, Lerp(), start, end, weight, dtype=float_type(start, end))


@operator("aten.sqrt.default")
def sqrt(call: Call, x: torch.Tensor) -> torch.Tensor:
    """Square root, one rounding."""
    return pointwise(call, Sqrt(), x, dtype=float_type(x))


def one(dtype: torch.dtype) -> Any:
    """1 in the working precision, as a kernel parameter."""
    return np.float64(1) if dtype == torch.float64 else np.float32(1)


@operator("aten.rsqrt.default")
def rsqrt(call: Call, x: torch.Tensor) -> torch.Tensor:
    """1 / sqrt(x): a root and a division."""
    dtype = float_type(x)
    return pointwise(call, Rsqrt(one(dtype)), x, dtype=dtype)


@operator("aten.exp.default")
def exp(call: Call, x: torch.Tensor) -> torch.Tensor:
    """exp(x), roundings inside included (float32 and half types)."""
    dtype = float_type(x)
    if dtype == torch.float64 or call.libm != "internal":
        return through_double(call, torch.exp, x, extended=np.exp)
    return pointwise(call, Exp(), x, dtype=dtype)


@operator("aten.sigmoid.default")
def sigmoid(call: Call, x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(-x))."""
    dtype = float_type(x)
    if dtype == torch.float64 or call.libm != "internal":
        return through_double(
            call, torch.sigmoid, x, extended=lambda v: 1 / (1 + np.exp(-v))
        )
    return pointwise(call, Sigmoid(one(dtype)), x, dtype=dtype)


_ROUNDED_ONCE = [
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "lgamma",
    "digamma",
    "special_entr",
    "special_ndtri",
    "logit",
    "i0",
    "special_i0",
    "special_i0e",
    "special_i1",
    "special_i1e",
    "special_erfcx",
    "special_log_ndtr",
    "sinc",
    "rad2deg",
    "deg2rad",
]


# The same functions on NumPy's long doubles, for float64 tensors.
_EXTENDED = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "rad2deg": np.rad2deg,
    "deg2rad": np.deg2rad,
}


def _rounded_once(name: str) -> None:
    function = getattr(aten, name).default

    @operator(f"aten.{name}.default")
    def handler(call: Call, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        return through_double(
            call,
            lambda wide: function(wide, *rest),
            x,
            dtype=float_type(x),
            extended=_EXTENDED.get(name),
        )


for _name in _ROUNDED_ONCE:
    _rounded_once(_name)


@operator("aten.atan2.default", "aten.hypot.default", "aten.xlogy.Tensor")
def two_operands_once(call: Call, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Functions of two tensors whose result is rounded once."""
    pair = {"atan2": np.arctan2, "hypot": np.hypot}
    extended = pair.get(call.func.overloadpacket.__name__)
    return through_double(call, call.func, x, y, extended=extended)


@operator("aten.pow.Tensor_Scalar")
def power(call: Call, x: torch.Tensor, exponent: Any) -> torch.Tensor:
    """x**exponent: products for 2 and 3, roots and quotients as PyTorch has them."""
    if _integers(x, exponent):
        return call.func(x, exponent)
    dtype = float_type(x, exponent)
    if exponent == 1:
        return x.to(dtype, copy=True)
    if exponent in (2, 3):
        square = pointwise(call, Mul(), x, x, dtype=dtype)
        return square if exponent == 2 else pointwise(call, Mul(), square, x)
    if exponent == 0.5:
        return pointwise(call, Sqrt(), x, dtype=dtype)
    if exponent == -0.5:
        return pointwise(call, Rsqrt(one(dtype)), x, dtype=dtype)
    if exponent == -1:
        return pointwise(call, Div(), 1.0, x, dtype=dtype)
    if exponent == -2:
        square = pointwise(call, Mul(), x, x, dtype=dtype)
        return pointwise(call, Div(), 1.0, square, dtype=dtype)
    return through_double(
        call,
        lambda wide: wide**exponent,
        x,
        dtype=dtype,
        extended=lambda v: v ** np.longdouble(exponent),
    )


@operator("aten.pow.Tensor_Tensor", "aten.pow.Scalar")
def power_of_tensors(call: Call, x: Any, y: Any) -> torch.Tensor:
    """x**y rounded once."""
    if _integers(x, y):
        return call.func(x, y)
    return through_double(
        call, torch.pow, x, y, dtype=float_type(x, y), extended=np.power
    )
