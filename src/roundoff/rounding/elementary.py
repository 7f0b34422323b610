"""Elementary operations with a chosen rounding, for use inside every kernel.

`add`, `sub`, `mul`, `div`, `sqrt`, `fma` (float32 or float64 operands) and `narrow`
(float64 to float32) are Numba functions with the signature

    add(a, b, word, step, rounder)

* `rounder` is `plan.rounder`: pass it through as one kernel argument. Its *type* picks
  the arithmetic at compile time, so a kernel is compiled at most twice:
  `Signs` (modes random, upward, downward, toward_zero, nearest: round-down hardware and
  sign flips, specification 3.1) and `Dither` (nearness, reduced precision: float64 plus
  a random integer, then truncation, 3.2). All else about the mode is run-time data.
* `word` is 32 random bits of this output element: `element_word(key, index)` with
  key = `np.uint64(plan.key)` and index = the *flat index of the output element*, never
  a thread or chunk number. `step` numbers the operation inside the element. Under
  `Signs` an operation takes bit `step % 32` of the word: use each step once, and renew
  the word every 32 operations of a chain (`word = step_word(word, chunk)`). Under
  `Dither` each (word, step) pair yields 29 fresh bits. Shared quantities (a weight of
  an image row) need a word of their own: `element_word(derived_key(key, 1), row)`.

How to write a kernel (`x`, `y`, `out` are flat contiguous arrays):

    @kernel                                 # compilation.kernel
    def _add(x, y, out, start, stop, key, rounder):
        keep_apart()                        # compilation.keep_apart: not inlined
        for i in range(np.uint64(start), np.uint64(stop)):    # see below
            word = element_word(key, i)
            out[i] = add(x[i], y[i], word, 0, rounder)

    @kernel
    def add_arrays(x, y, out, start, stop, key, rounder, direction):
        set_rounding(direction)             # environment.set_rounding, plan.direction
        _add(x, y, out, start, stop, key, rounder)
        set_rounding(NEAREST)

    run_in_chunks(add_arrays, x.size, plan, x, y, out)     # threads.run_in_chunks

Loop over *unsigned* indices (or over slices, `for i in range(out.size)`): for signed
ones Numba tests for negative wrap-around and LLVM then vectorises nothing (3x slower).
Unsigned and signed integers mixed become float64: wrap constants in np.uint64.

Between the two `set_rounding` calls: no exception (index in range), no Python, no libm
call, no float constant expression (LLVM folds it in round-to-nearest), no reduction
written with plain `+` of floats. Plain float operations in the body are rounded in the
hardware's current direction, i.e. wrongly: use the primitives, or integers.

Results: exact values, NaN and Inf are unchanged; where round-to-nearest overflows to
Inf so does every mode, as Verrou (unless within one ulp of the largest float); zeros
keep round-to-nearest's sign (but for an fma that cancels to a rest below the
subnormals); subnormals are rounded like any other value.
"""

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from roundoff.rounding.compilation import device
from roundoff.rounding.streams import step_word

_SIGN32 = np.uint32(0x80000000)
_BIGGEST32 = np.float32(3.4028234663852886e38)
_HALF32 = np.float32(0.5)
_HALF_BIGGEST32 = np.float32(1.7014117331926443e38)
_OVERFLOW32 = 3.4028235677973366e38  # halfway between _BIGGEST32 and 2**128
_SMALLEST_NORMAL32 = 1.1754943508222875e-38
_BIGGEST64 = 1.7976931348623157e308
_INF = math.inf


class Signs(NamedTuple):
    """Sign of each operation: (random bit & keep) | force, on 0x80000000."""

    keep: np.uint32
    force: np.uint32


class Dither(NamedTuple):
    """Integer added below the last kept bit: (random int64 >> shift) & mask."""

    shift: np.uint64
    mask: np.uint64


def signs(mode: str) -> Signs:
    """Return the rule for `mode` (not nearness) under `plan.direction`."""
    keep = _SIGN32 if mode == "random" else np.uint32(0)
    force = _SIGN32 if mode == "upward" else np.uint32(0)
    return Signs(keep, force)


def dither(mode: str, precision: int = 24) -> Dither:
    """Return the float64 rule for `nearness` or `random` at `precision` bits.

    Raises ValueError for directed modes, which this arithmetic does not offer.
    """
    if mode not in ("nearness", "random"):
        raise ValueError(
            f"mode={mode!r} is not available at reduced precision: "
            "use random or nearness"
        )
    dropped = 53 - precision
    shift = 64 - dropped if mode == "nearness" else 63
    return Dither(np.uint64(shift), np.uint64((1 << dropped) - 1))


def is_signs(rounder: types.Type) -> bool:
    """Whether a Numba type is that of `Signs` (for use in overloads)."""
    return getattr(rounder, "instance_class", None) is Signs


# --- bits of floats -----------------------------------------------------------------


@intrinsic
def fused(typingctx, a, b, c):
    """Hardware a*b + c with one rounding in the current direction."""
    if not (isinstance(a, types.Float) and a == b == c):
        return None

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), codegen


@intrinsic
def hardware_sqrt(typingctx, a):
    """Hardware square root in the current direction."""
    if not isinstance(a, types.Float):
        return None

    def codegen(context, builder, signature, args):
        kind = args[0].type
        root = builder.module.declare_intrinsic("llvm.sqrt", [kind])
        return builder.call(root, args)

    return a(a), codegen


@intrinsic
def to_bits(typingctx, a):
    """Bit pattern of a float as the unsigned integer of its size."""
    if not isinstance(a, types.Float):
        return None
    result = types.uint32 if a.bitwidth == 32 else types.uint64

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(signature.args[0].bitwidth))

    return result(a), codegen


@intrinsic
def to_float(typingctx, a):
    """Float whose bit pattern is the given uint32 or uint64."""
    if a not in (types.uint32, types.uint64):
        return None
    result = types.float32 if a == types.uint32 else types.float64

    def codegen(context, builder, signature, args):
        kind = ir.FloatType() if result == types.float32 else ir.DoubleType()
        return builder.bitcast(args[0], kind)

    return result(a), codegen


@device
def _flip32(a, sign):
    return to_float(np.uint32(to_bits(a) ^ sign))


@device
def _flip64(a, sign):
    return to_float(np.uint64(to_bits(a) ^ (np.uint64(sign) << np.uint64(32))))


@device
def _sign(word, step, rounder):
    moved = np.uint32(np.uint32(word) << np.uint32(np.uint32(step) & np.uint32(31)))
    return np.uint32((moved & rounder.keep) | rounder.force)


def flip(a, sign):
    """Change the sign of `a` where `sign` is 0x80000000."""
    raise NotImplementedError("use inside a kernel")


@overload(flip, inline="always")
def _flip(a, sign):
    return _flip32.py_func if a == types.float32 else _flip64.py_func


# --- what round-to-nearest does at the ends of the range ------------------------------


@device
def _settle32(result, inside):
    # Directed rounding stops at the largest number where round-to-nearest goes to Inf.
    # `inside` says whether the exact value is within the range, right up to one ulp.
    beyond = (abs(result) == _BIGGEST32) & (not inside)
    return np.float32(math.copysign(np.float32(_INF), result)) if beyond else result


@device
def _settle64(result, inside):
    beyond = (abs(result) == _BIGGEST64) & (not inside)
    return math.copysign(_INF, result) if beyond else result


@device
def _fits32(half):
    """Whether twice `half` is within the range of float32."""
    return abs(half) <= _HALF_BIGGEST32


@device
def _fits64(half):
    return abs(half) <= 0.5 * _BIGGEST64


@device
def _zero_sum32(result, a, b):
    both = np.uint32(to_bits(a) & to_bits(b) & _SIGN32)
    return to_float(both) if result == np.float32(0) else result


@device
def _zero_sum64(result, a, b):
    both = np.uint64(to_bits(a) & to_bits(b) & (np.uint64(1) << np.uint64(63)))
    return to_float(both) if result == 0.0 else result


# --- Signs: one hardware direction, sign flips ----------------------------------------


@device
def _add_signs32(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _zero_sum32(_flip32(_flip32(a, s) + _flip32(b, s), s), a, b)
    return _settle32(r, _fits32(_HALF32 * a + _HALF32 * b))


@device
def _add_signs64(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _zero_sum64(_flip64(_flip64(a, s) + _flip64(b, s), s), a, b)
    return _settle64(r, _fits64(0.5 * a + 0.5 * b))


@device
def _mul_signs32(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip32(_flip32(a, s) * b, s)
    return _settle32(r, _fits32((_HALF32 * a) * b))


@device
def _mul_signs64(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip64(_flip64(a, s) * b, s)
    return _settle64(r, _fits64((0.5 * a) * b))


@device
def _div_signs32(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip32(_flip32(a, s) / b, s)
    return _settle32(r, abs(a) <= abs(b) * _BIGGEST32)


@device
def _div_signs64(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip64(_flip64(a, s) / b, s)
    return _settle64(r, abs(a) <= abs(b) * _BIGGEST64)


@device
def _fma_signs32(a, b, c, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip32(fused(_flip32(a, s), b, _flip32(c, s)), s)
    product = np.uint32((to_bits(a) ^ to_bits(b)) & _SIGN32)
    # an underflowing product added to zero keeps the product's sign
    none = np.float32(0)
    alone = (c == none) & (a != none) & (b != none)
    zero = to_float(product if alone else np.uint32(product & to_bits(c)))
    r = zero if r == none else r
    return _settle32(r, _fits32(fused(_HALF32 * a, b, _HALF32 * c)))


@device
def _fma_signs64(a, b, c, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip64(fused(_flip64(a, s), b, _flip64(c, s)), s)
    product = np.uint64((to_bits(a) ^ to_bits(b)) & (np.uint64(1) << np.uint64(63)))
    alone = (c == 0.0) & (a != 0.0) & (b != 0.0)
    zero = to_float(product if alone else np.uint64(product & to_bits(c)))
    r = zero if r == 0.0 else r
    return _settle64(r, _fits64(fused(0.5 * a, b, 0.5 * c)))


@device
def _sqrt_signs32(a, word, step, rounder):
    s = _sign(word, step, rounder)
    r = hardware_sqrt(a)
    inexact = fused(r, r, _flip32(a, _SIGN32)) != np.float32(0)
    up = np.uint32(s >> np.uint32(31)) if inexact else np.uint32(0)
    finite = a > np.float32(0) and a <= _BIGGEST32
    return to_float(np.uint32(to_bits(r) + up)) if finite else r


@device
def _sqrt_signs64(a, word, step, rounder):
    s = _sign(word, step, rounder)
    r = hardware_sqrt(a)
    inexact = fused(r, r, _flip64(a, _SIGN32)) != 0.0
    up = np.uint64(s >> np.uint32(31)) if inexact else np.uint64(0)
    finite = a > 0.0 and a <= _BIGGEST64
    return to_float(np.uint64(to_bits(r) + up)) if finite else r


@device
def _narrow_signs(a, word, step, rounder):
    s = _sign(word, step, rounder)
    r = _flip32(np.float32(_flip64(a, s)), s)
    return _settle32(r, abs(a) < _OVERFLOW32)


# --- Dither: float64, add a random integer, truncate ----------------------------------


@device
def dithered(exact, word, step, rounder):
    """Round a float64 to float32 (or fewer bits) by dither; NaN, Inf unchanged."""
    # Below 2**-126 the spacing is constant: shift there to make the truncation right.
    offset = _SMALLEST_NORMAL32 if abs(exact) < _SMALLEST_NORMAL32 else 0.0
    offset = math.copysign(offset, exact)
    drawn = np.int64(np.uint64(step_word(word, step)) << np.uint64(32))
    noise = np.uint64(drawn >> np.int64(rounder.shift)) & rounder.mask
    bits = np.uint64(to_bits(exact + offset) + noise) & ~rounder.mask
    result = np.float32(math.copysign(to_float(np.uint64(bits)) - offset, exact))
    return result if abs(exact) <= _BIGGEST32 else np.float32(exact)


@device
def _add_dither32(a, b, word, step, rounder):
    return dithered(np.float64(a) + np.float64(b), word, step, rounder)


@device
def _mul_dither32(a, b, word, step, rounder):
    return dithered(np.float64(a) * np.float64(b), word, step, rounder)


@device
def _div_dither32(a, b, word, step, rounder):
    return dithered(np.float64(a) / np.float64(b), word, step, rounder)


@device
def _fma_dither32(a, b, c, word, step, rounder):
    exact = np.float64(a) * np.float64(b) + np.float64(c)
    if exact == 0.0:  # keeps the sign of float32 hardware
        return fused(a, b, c)
    return dithered(exact, word, step, rounder)


@device
def _sqrt_dither32(a, word, step, rounder):
    return dithered(math.sqrt(np.float64(a)), word, step, rounder)


@device
def _narrow_dither(a, word, step, rounder):
    return dithered(a, word, step, rounder)


@device
def _nudged(nearest, error, word, step, rounder):
    """Round the float64 pair nearest + error up or down at random."""
    bits = to_bits(nearest)
    away = (error > 0.0) == (nearest > 0.0)
    other = to_float(np.uint64(bits + np.uint64(1) if away else bits - np.uint64(1)))
    gap = abs(other - nearest)
    chance = abs(error) / gap if rounder.shift < np.uint64(63) else 0.5
    drawn = np.float64(step_word(word, step)) * 2.3283064365386963e-10
    usable = error != 0.0 and nearest != 0.0 and abs(nearest) < _BIGGEST64
    return other if usable and drawn < chance else nearest


@device
def _two_sum_error(a, b, total):
    part = total - a
    return (a - (total - part)) + (b - part)


@device
def _add_dither64(a, b, word, step, rounder):
    total = a + b
    return _nudged(total, _two_sum_error(a, b, total), word, step, rounder)


@device
def _mul_dither64(a, b, word, step, rounder):
    product = a * b
    return _nudged(product, fused(a, b, -product), word, step, rounder)


@device
def _div_dither64(a, b, word, step, rounder):
    quotient = a / b
    return _nudged(quotient, fused(-quotient, b, a) / b, word, step, rounder)


@device
def _fma_dither64(a, b, c, word, step, rounder):
    product = a * b
    total = product + c
    nearest = fused(a, b, c)
    # total and nearest differ by one ulp at most, so their difference is exact
    rest = _two_sum_error(product, c, total) + fused(a, b, -product)
    return _nudged(nearest, (total - nearest) + rest, word, step, rounder)


@device
def _sqrt_dither64(a, word, step, rounder):
    root = math.sqrt(a)
    error = fused(-root, root, a) / (root + root)
    return _nudged(root, error if a > 0.0 else 0.0, word, step, rounder)


# --- the public names -----------------------------------------------------------------


def add(a, b, word, step, rounder):
    """a + b."""
    raise NotImplementedError("use inside a kernel")


def sub(a, b, word, step, rounder):
    """a - b."""
    raise NotImplementedError("use inside a kernel")


def mul(a, b, word, step, rounder):
    """a * b."""
    raise NotImplementedError("use inside a kernel")


def div(a, b, word, step, rounder):
    """a / b."""
    raise NotImplementedError("use inside a kernel")


def fma(a, b, c, word, step, rounder):
    """a * b + c with one rounding."""
    raise NotImplementedError("use inside a kernel")


def sqrt(a, word, step, rounder):
    """Square root of a."""
    raise NotImplementedError("use inside a kernel")


def narrow(a, word, step, rounder):
    """float32 nearest or next to the float64 a; float32 comes back unchanged."""
    raise NotImplementedError("use inside a kernel")


_IMPLEMENTATIONS = {
    "add": (_add_signs32, _add_signs64, _add_dither32, _add_dither64),
    "mul": (_mul_signs32, _mul_signs64, _mul_dither32, _mul_dither64),
    "div": (_div_signs32, _div_signs64, _div_dither32, _div_dither64),
    "fma": (_fma_signs32, _fma_signs64, _fma_dither32, _fma_dither64),
    "sqrt": (_sqrt_signs32, _sqrt_signs64, _sqrt_dither32, _sqrt_dither64),
}


def _chosen(name: str, a: types.Type, rounder: types.Type):
    index = (0 if is_signs(rounder) else 2) + (0 if a == types.float32 else 1)
    return _IMPLEMENTATIONS[name][index]


@overload(add)
def _add(a, b, word, step, rounder):
    chosen = _chosen("add", a, rounder)
    return lambda a, b, word, step, rounder: chosen(a, b, word, step, rounder)


@overload(sub)
def _sub(a, b, word, step, rounder):
    chosen = _chosen("add", a, rounder)
    return lambda a, b, word, step, rounder: chosen(
        a, flip(b, _SIGN32), word, step, rounder
    )


@overload(mul)
def _mul(a, b, word, step, rounder):
    chosen = _chosen("mul", a, rounder)
    return lambda a, b, word, step, rounder: chosen(a, b, word, step, rounder)


@overload(div)
def _div(a, b, word, step, rounder):
    chosen = _chosen("div", a, rounder)
    return lambda a, b, word, step, rounder: chosen(a, b, word, step, rounder)


@overload(fma)
def _fma(a, b, c, word, step, rounder):
    chosen = _chosen("fma", a, rounder)
    return lambda a, b, c, word, step, rounder: chosen(a, b, c, word, step, rounder)


@overload(sqrt)
def _sqrt(a, word, step, rounder):
    chosen = _chosen("sqrt", a, rounder)
    return lambda a, word, step, rounder: chosen(a, word, step, rounder)


@overload(narrow)
def _narrow(a, word, step, rounder):
    if a == types.float32:
        return lambda a, word, step, rounder: a
    chosen = _narrow_signs if is_signs(rounder) else _narrow_dither
    return lambda a, word, step, rounder: chosen(a, word, step, rounder)
