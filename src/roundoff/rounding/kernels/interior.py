"""Lighter float32 primitives for the inside of a function.

Same rounding as `elementary`, without its care for overflow, subnormal results and the
sign of zero: for intermediate values known to be normal (the polynomial of exp), where
they cost a third.
"""

import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload

from roundoff.rounding.compilation import device
from roundoff.rounding.elementary import flip, fused, is_signs, to_bits, to_float
from roundoff.rounding.streams import step_word


@intrinsic
def merge_into_caller(typingctx):
    """Call first in a device function that LLVM must inline for loops to vectorise."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), codegen


@device
def _sign(word, step, rounder):
    moved = np.uint32(np.uint32(word) << np.uint32(np.uint32(step) & np.uint32(31)))
    return np.uint32((moved & rounder.keep) | rounder.force)


@device
def _dithered(exact, word, step, rounder):
    drawn = np.int64(np.uint64(step_word(word, step)) << np.uint64(32))
    noise = np.uint64(drawn >> np.int64(rounder.shift)) & rounder.mask
    bits = np.uint64(to_bits(exact) + noise) & ~rounder.mask
    return np.float32(to_float(np.uint64(bits)))


@device
def _fma_signs(a, b, c, word, step, rounder):
    s = _sign(word, step, rounder)
    return flip(fused(flip(a, s), b, flip(c, s)), s)


@device
def _fma_dither(a, b, c, word, step, rounder):
    exact = np.float64(a) * np.float64(b) + np.float64(c)
    return _dithered(exact, word, step, rounder)


@device
def _mul_signs(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    return flip(flip(a, s) * b, s)


@device
def _mul_dither(a, b, word, step, rounder):
    return _dithered(np.float64(a) * np.float64(b), word, step, rounder)


@device
def _add_signs(a, b, word, step, rounder):
    s = _sign(word, step, rounder)
    return flip(flip(a, s) + flip(b, s), s)


@device
def _add_dither(a, b, word, step, rounder):
    return _dithered(np.float64(a) + np.float64(b), word, step, rounder)


def inner_fma(a, b, c, word, step, rounder):
    """a·b + c with one rounding."""
    raise NotImplementedError("use inside a kernel")


def inner_mul(a, b, word, step, rounder):
    """a·b."""
    raise NotImplementedError("use inside a kernel")


def inner_add(a, b, word, step, rounder):
    """a + b."""
    raise NotImplementedError("use inside a kernel")


@overload(inner_fma)
def _inner_fma(a, b, c, word, step, rounder):
    chosen = _fma_signs if is_signs(rounder) else _fma_dither
    return lambda a, b, c, word, step, rounder: chosen(a, b, c, word, step, rounder)


@overload(inner_mul)
def _inner_mul(a, b, word, step, rounder):
    chosen = _mul_signs if is_signs(rounder) else _mul_dither
    return lambda a, b, word, step, rounder: chosen(a, b, word, step, rounder)


@overload(inner_add)
def _inner_add(a, b, word, step, rounder):
    chosen = _add_signs if is_signs(rounder) else _add_dither
    return lambda a, b, word, step, rounder: chosen(a, b, word, step, rounder)
