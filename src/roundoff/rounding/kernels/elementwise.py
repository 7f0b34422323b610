"""Elementwise kernels: one loop per number of operands, one rule per operation.

An operation is a small named tuple (its fields are its run-time parameters); the loop
is compiled once per operation, operand kinds (array or scalar) and rounding rule.
Float constants travel as fields or through `constant`, so that nothing is folded at
compile time in the wrong direction.
"""

from typing import NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, div, fma, mul, narrow, sqrt, sub
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.interior import merge_into_caller
from roundoff.rounding.kernels.math import exp32, exp32_table
from roundoff.rounding.streams import element_word

_RULES: dict[type, tuple[int, object]] = {}
OPERATIONS: dict[type, int] = {}


def rule(operation: type, count: int):
    """Register the arithmetic of an operation and its elementary operations."""

    def register(function):
        _RULES[operation] = device(function)
        OPERATIONS[operation] = count
        return function

    return register


class Add(NamedTuple):
    """x + y."""

    tag: int = 0


class AddScaled(NamedTuple):
    """x + alpha * y, one rounding."""

    alpha: float


class Sub(NamedTuple):
    """x - y."""

    tag: int = 0


class Mul(NamedTuple):
    """x * y."""

    tag: int = 0


class Div(NamedTuple):
    """x / y."""

    tag: int = 0


class AddMul(NamedTuple):
    """x + value * y * z: the product first, then one fma with `value`."""

    value: float


class AddDiv(NamedTuple):
    """x + value * y / z."""

    value: float


class Lerp(NamedTuple):
    """x + weight * (y - x), from the nearer end."""

    tag: int = 0


class Sqrt(NamedTuple):
    """Square root."""

    tag: int = 0


class Rsqrt(NamedTuple):
    """1 / sqrt(x)."""

    one: float


class Exp(NamedTuple):
    """exp(x)."""

    tag: int = 0


class Sigmoid(NamedTuple):
    """1 / (1 + exp(-x))."""

    one: float


class Silu(NamedTuple):
    """x / (1 + exp(-x))."""

    one: float


class Leaky(NamedTuple):
    """x where positive, else slope * x (PReLU with y as the slope)."""

    tag: int = 0


class Elu(NamedTuple):
    """x * positive where x > 0, else (exp(x * inner) - 1) * negative."""

    negative: float
    positive: float
    inner: float
    one: float


class MulChosen(NamedTuple):
    """y where x > 0, else y * z: gradient of the leaky family."""

    tag: int = 0


class Narrow(NamedTuple):
    """float64 to float32."""

    tag: int = 0


class Horner(NamedTuple):
    """x * y + z with one rounding."""

    tag: int = 0


@rule(Add, 1)
def _add(op, x, y, word, rounder):
    return add(x, y, word, 0, rounder)


@rule(AddScaled, 1)
def _add_scaled(op, x, y, word, rounder):
    return fma(y, op.alpha, x, word, 0, rounder)


@rule(Sub, 1)
def _sub(op, x, y, word, rounder):
    return sub(x, y, word, 0, rounder)


@rule(Mul, 1)
def _mul(op, x, y, word, rounder):
    return mul(x, y, word, 0, rounder)


@rule(Div, 1)
def _div(op, x, y, word, rounder):
    return div(x, y, word, 0, rounder)


@rule(AddMul, 2)
def _add_mul(op, x, y, z, word, rounder):
    scaled = mul(op.value, y, word, 0, rounder)
    return fma(scaled, z, x, word, 1, rounder)


@rule(AddDiv, 3)
def _add_div(op, x, y, z, word, rounder):
    scaled = mul(op.value, y, word, 0, rounder)
    return add(x, div(scaled, z, word, 1, rounder), word, 2, rounder)


@rule(Lerp, 3)
def _lerp(op, x, y, z, word, rounder):
    span = sub(y, x, word, 0, rounder)
    near = fma(z, span, x, word, 1, rounder)
    far = fma(-span, sub(np.float32(1), z, word, 2, rounder), y, word, 3, rounder)
    return near if abs(z) < np.float32(0.5) else far


@rule(Sqrt, 1)
def _sqrt(op, x, word, rounder):
    return sqrt(x, word, 0, rounder)


@rule(Rsqrt, 2)
def _rsqrt(op, x, word, rounder):
    return div(op.one, sqrt(x, word, 0, rounder), word, 1, rounder)


@rule(Exp, 11)
def _exp(op, x, word, rounder):
    merge_into_caller()
    return exp32_table(x, word, 0, rounder)


@rule(Sigmoid, 15)
def _sigmoid(op, x, word, rounder):
    merge_into_caller()
    lower = add(op.one, exp32(-x, word, 0, rounder), word, 12, rounder)
    return div(op.one, lower, word, 13, rounder)


@rule(Silu, 15)
def _silu(op, x, word, rounder):
    merge_into_caller()
    lower = add(op.one, exp32(-x, word, 0, rounder), word, 12, rounder)
    return div(x, lower, word, 13, rounder)


@rule(Leaky, 1)
def _leaky(op, x, y, word, rounder):
    return x if x > np.float32(0) else mul(x, y, word, 0, rounder)


@rule(Narrow, 1)
def _narrow(op, x, word, rounder):
    return narrow(x, word, 0, rounder)


@rule(Horner, 1)
def _horner(op, x, y, z, word, rounder):
    return fma(x, y, z, word, 0, rounder)


@rule(MulChosen, 1)
def _mul_chosen(op, x, y, z, word, rounder):
    return y if x > np.float32(0) else mul(y, z, word, 0, rounder)


# --- loops ---------------------------------------------------------------------------


def load(operand, index):
    """Element of an array operand, or the scalar operand itself."""
    raise NotImplementedError("use inside a kernel")


@overload(load, inline="always")
def _load(operand, index):
    if isinstance(operand, types.Array):
        return lambda operand, index: operand[index]
    return lambda operand, index: operand


def evaluate1(op, x, word, rounder):
    """Apply a rule of one operand."""
    raise NotImplementedError("use inside a kernel")


def evaluate2(op, x, y, word, rounder):
    """Apply a rule of two operands."""
    raise NotImplementedError("use inside a kernel")


def evaluate3(op, x, y, z, word, rounder):
    """Apply a rule of three operands."""
    raise NotImplementedError("use inside a kernel")


@overload(evaluate1)
def _evaluate1(op, x, word, rounder):
    chosen = _RULES[op.instance_class]

    def apply(op, x, word, rounder):
        merge_into_caller()
        return chosen(op, x, word, rounder)

    return apply


@overload(evaluate2)
def _evaluate2(op, x, y, word, rounder):
    chosen = _RULES[op.instance_class]

    def apply(op, x, y, word, rounder):
        merge_into_caller()
        return chosen(op, x, y, word, rounder)

    return apply


@overload(evaluate3)
def _evaluate3(op, x, y, z, word, rounder):
    chosen = _RULES[op.instance_class]

    def apply(op, x, y, z, word, rounder):
        merge_into_caller()
        return chosen(op, x, y, z, word, rounder)

    return apply


@kernel
def _map1(op, x, out, start, stop, key, rounder):
    keep_apart()
    for i in range(np.uint64(start), np.uint64(stop)):
        out[i] = evaluate1(op, x[i], element_word(key, i), rounder)


@kernel
def map1(op, x, out, start, stop, key, rounder, direction):
    """out[i] = op(x[i]); flat contiguous arrays."""
    set_rounding(direction)
    _map1(op, x, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _map2(op, x, y, out, start, stop, key, rounder):
    keep_apart()
    for i in range(np.uint64(start), np.uint64(stop)):
        word = element_word(key, i)
        out[i] = evaluate2(op, load(x, i), load(y, i), word, rounder)


@kernel
def map2(op, x, y, out, start, stop, key, rounder, direction):
    """out[i] = op(x[i], y[i]); a scalar may stand for one array."""
    set_rounding(direction)
    _map2(op, x, y, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _map3(op, x, y, z, out, start, stop, key, rounder):
    keep_apart()
    for i in range(np.uint64(start), np.uint64(stop)):
        word = element_word(key, i)
        out[i] = evaluate3(op, load(x, i), load(y, i), load(z, i), word, rounder)


@kernel
def map3(op, x, y, z, out, start, stop, key, rounder, direction):
    """out[i] = op(x[i], y[i], z[i]); scalars may stand for arrays."""
    set_rounding(direction)
    _map3(op, x, y, z, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _rows2(op, x, y, inner, out, start, stop, key, rounder):
    keep_apart()
    length = np.uint64(inner)
    for row in range(np.uint64(start), np.uint64(stop)):
        value = y[row % np.uint64(y.size)]
        for i in range(row * length, (row + np.uint64(1)) * length):
            out[i] = evaluate2(op, x[i], value, element_word(key, i), rounder)


@kernel
def rows2(op, x, y, inner, out, start, stop, key, rounder, direction):
    """As map2 over rows of `inner` elements, y holding one value per channel."""
    set_rounding(direction)
    _rows2(op, x, y, inner, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _rows3(op, x, y, z, inner, out, start, stop, key, rounder):
    keep_apart()
    length = np.uint64(inner)
    for row in range(np.uint64(start), np.uint64(stop)):
        y_row = y[row % np.uint64(y.size)]
        z_row = z[row % np.uint64(z.size)]
        for i in range(row * length, (row + np.uint64(1)) * length):
            out[i] = evaluate3(op, x[i], y_row, z_row, element_word(key, i), rounder)


@kernel
def rows3(op, x, y, z, inner, out, start, stop, key, rounder, direction):
    """As map3 over rows of `inner` elements, y and z holding one value per channel."""
    set_rounding(direction)
    _rows3(op, x, y, z, inner, out, start, stop, key, rounder)
    set_rounding(NEAREST)
