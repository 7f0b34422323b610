"""exp in float32 with the roundings inside, as vector libraries compute it.

Polynomial of SLEEF's one-ulp variant (Shibata and Petrogalli, IEEE TPDS 2020), which
PyTorch's AVX2 kernels use; steps are numbered from `step`. float64 has no such
kernel: it is rounded once per result (see `docs/random_rounding.md`).
"""

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from roundoff.rounding.compilation import device
from roundoff.rounding.elementary import mul, to_float
from roundoff.rounding.kernels.interior import (
    inner_add,
    inner_fma,
    inner_mul,
    merge_into_caller,
)

EXP_STEPS = 12


@intrinsic
def round_even(typingctx, a):
    """Nearest integer, ties to even, whatever the rounding direction."""
    if not isinstance(a, types.Float):
        return None

    def codegen(context, builder, signature, args):
        name = builder.module.declare_intrinsic("llvm.roundeven", [args[0].type])
        return builder.call(name, args)

    return a(a), codegen


@intrinsic
def floor_of(typingctx, a):
    """Largest integer not above a, as a float."""
    if not isinstance(a, types.Float):
        return None

    def codegen(context, builder, signature, args):
        name = builder.module.declare_intrinsic("llvm.floor", [args[0].type])
        return builder.call(name, args)

    return a(a), codegen


@device
def power_of_two(exponent):
    """2**exponent as float32 for an int32 exponent in the normal range."""
    return to_float(np.uint32((exponent + np.int32(127)) << np.int32(23)))


@device
def exp32(x, word, step, rounder):
    """exp(x): 2 mul, 8 fma, 1 add, and the scaling by powers of two."""
    merge_into_caller()
    low = np.float32(-105)
    high = np.float32(105)
    d = min(max(x, low), high)
    n = round_even(inner_mul(d, np.float32(1.442695040888963407), word, step, rounder))
    s = inner_fma(n, np.float32(-0.693145751953125), d, word, step + 1, rounder)
    s = inner_fma(n, np.float32(-1.428606765330187045e-06), s, word, step + 2, rounder)
    u = np.float32(0.000198527617612853646278381)
    u = inner_fma(
        u, s, np.float32(0.00139304355252534151077271), word, step + 3, rounder
    )
    u = inner_fma(
        u, s, np.float32(0.00833336077630519866943359), word, step + 4, rounder
    )
    u = inner_fma(
        u, s, np.float32(0.0416664853692054748535156), word, step + 5, rounder
    )
    u = inner_fma(u, s, np.float32(0.166666671633720397949219), word, step + 6, rounder)
    u = inner_fma(u, s, np.float32(0.5), word, step + 7, rounder)
    square = inner_mul(s, s, word, step + 8, rounder)
    u = inner_add(
        inner_fma(square, u, s, word, step + 9, rounder),
        np.float32(1),
        word,
        step + 10,
        rounder,
    )
    k = np.int32(n)
    half = k >> np.int32(1)
    u = u * power_of_two(half)
    u = mul(u, power_of_two(k - half), word, step + 11, rounder)
    u = np.float32(0) if x < np.float32(-104) else u
    u = np.float32(np.inf) if x > np.float32(100) else u
    return u if x == x else x


@device
def _quarter(j, first, second, third):
    """The table entry of j = 0 to 3, the first entry being 1."""
    low = np.float32(1) if j == np.int32(0) else first
    return low if j < np.int32(2) else (second if j == np.int32(2) else third)


@device
def exp32_table(x, word, step, rounder):
    """exp(x) as MKL's vector kernel rounds it: 7 fma, 2 add, 2 mul.

    A four-entry table of powers of two and a fourth-degree polynomial. Rounding the
    table index at random moves the argument outside the interval the polynomial was
    made for: that is where most of the noise comes from (4 ulp near quarter powers).
    """
    merge_into_caller()
    d = min(max(x, np.float32(-105)), np.float32(90))
    magic = np.float32(12582912)
    n = inner_fma(d, np.float32(5.7707801635558535), magic, word, step, rounder)
    n = inner_add(n, -magic, word, step + 1, rounder)
    r = inner_fma(n, np.float32(-0.17327880859375), d, word, step + 2, rounder)
    r = inner_fma(n, np.float32(-7.98654624e-06), r, word, step + 3, rounder)
    third = np.float32(0.16672966)
    q = inner_fma(np.float32(0.041666668), r, third, word, step + 4, rounder)
    q = inner_fma(q, r, np.float32(0.5), word, step + 5, rounder)
    p = inner_fma(
        inner_mul(r, r, word, step + 6, rounder), q, r, word, step + 7, rounder
    )
    k = np.int32(n)
    j = k & np.int32(3)
    high = _quarter(
        j, np.float32(1.18920707), np.float32(1.41421354), np.float32(1.68179286)
    )
    low = _quarter(
        j,
        np.float32(3.79763538e-08),
        np.float32(2.42032343e-08),
        np.float32(-2.47553273e-08),
    )
    low = np.float32(0) if j == np.int32(0) else low
    y = inner_fma(high, p, low, word, step + 8, rounder)
    y = inner_add(y, high, word, step + 9, rounder)
    k = k >> np.int32(2)
    half = k >> np.int32(1)
    y = y * power_of_two(half)
    y = mul(y, power_of_two(k - half), word, step + 10, rounder)
    y = np.float32(0) if x < np.float32(-104) else y
    y = np.float32(np.inf) if x > np.float32(88.7228394) else y
    return y if x == x else x
