"""exp in float32 with the roundings inside, as vector libraries compute it.

Polynomial of SLEEF's one-ulp variant (Shibata and Petrogalli, IEEE TPDS 2020), which
PyTorch's AVX2 kernels use; steps are numbered from `step`. float64 has no such
kernel: it is rounded once per result (see `docs/random_rounding.md`).
"""

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from roundoff.rounding.compilation import device
from roundoff.rounding.elementary import add, fma, mul, to_float

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
    low = np.float32(-105)
    high = np.float32(105)
    d = min(max(x, low), high)
    n = round_even(mul(d, np.float32(1.442695040888963407), word, step, rounder))
    s = fma(n, np.float32(-0.693145751953125), d, word, step + 1, rounder)
    s = fma(n, np.float32(-1.428606765330187045e-06), s, word, step + 2, rounder)
    u = np.float32(0.000198527617612853646278381)
    u = fma(u, s, np.float32(0.00139304355252534151077271), word, step + 3, rounder)
    u = fma(u, s, np.float32(0.00833336077630519866943359), word, step + 4, rounder)
    u = fma(u, s, np.float32(0.0416664853692054748535156), word, step + 5, rounder)
    u = fma(u, s, np.float32(0.166666671633720397949219), word, step + 6, rounder)
    u = fma(u, s, np.float32(0.5), word, step + 7, rounder)
    square = mul(s, s, word, step + 8, rounder)
    u = add(
        fma(square, u, s, word, step + 9, rounder),
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
