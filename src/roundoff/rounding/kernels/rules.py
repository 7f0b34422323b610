"""How the inner loop of products rounds: the type of a rule selects its machine code.

| rule | used for | arithmetic |
|---|---|---|
| `Plain` | directed modes, nearest | hardware FMA in the thread's direction |
| `Blend` | random, with AVX-512 | FMA rounded down and rounded up, chosen by a bit |
| `Flip` | random, elsewhere | FMA in round-down between two sign flips |
| `Dithered` | nearness | float64 FMA, 29 random bits added, truncation to float32 |
| `Coarse` | reduced precision, fallback | the same with any number of bits, or a coin |

`Blend` and `Dithered` leave the floating-point environment alone. `direction` is what
the thread must be set to around the loop. Operands are float32 or float64 arrays of
dtype `operand_dtype`; `Dithered` and `Coarse` take float32 data widened to float64.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from llvmlite import binding as llvm
from numba.core import config

from roundoff.rounding.elementary import Dither
from roundoff.rounding.environment import DIRECTIONS, NEAREST
from roundoff.rounding.plan import Plan


class Plain(NamedTuple):
    """One hardware operation."""

    direction: np.int32


class Blend(NamedTuple):
    """Both directed results, blended by a random mask (AVX-512)."""

    direction: np.int32
    unused: np.int32


class Flip(NamedTuple):
    """Round-down hardware with random sign flips."""

    direction: np.int32
    keep: np.uint64


class Dithered(NamedTuple):
    """Float64 plus 29 random bits, truncated."""

    direction: np.int32
    mask: np.uint64


class Coarse(NamedTuple):
    """Float64 plus masked random bits, truncated."""

    direction: np.int32
    mask: np.uint64
    shift: np.uint64


Rule = Plain | Blend | Flip | Dithered | Coarse


@cache
def has_avx512() -> bool:
    """Whether Numba compiles for a CPU with 512-bit vectors."""
    if config.CPU_NAME and config.CPU_NAME != "host":
        return "avx512f" in (config.CPU_FEATURES or "")
    features = llvm.get_host_cpu_features()
    return all(features.get(f, False) for f in ("avx512f", "avx512dq", "avx512vl"))


def rule_for(plan: Plan, dtype: np.dtype) -> Rule:
    """Return the rule that realises `plan` on float32 or float64 data.

    Float64 data in mode nearness has no vector rule: see `product.py`.
    """
    rounder = plan.rounder
    if isinstance(rounder, Dither):
        if dtype == np.float64:
            raise ValueError("float64 data has no dithered rule")
        if int(rounder.mask) == 2**29 - 1 and int(rounder.shift) == 35:
            return Dithered(np.int32(NEAREST), rounder.mask)
        return Coarse(np.int32(NEAREST), rounder.mask, rounder.shift)
    if plan.mode != "random":
        return Plain(np.int32(DIRECTIONS[plan.mode]))
    if has_avx512():
        return Blend(np.int32(NEAREST), np.int32(0))
    sign = 1 << (8 * np.dtype(dtype).itemsize - 1)
    return Flip(np.int32(plan.direction), np.uint64(sign))


def operand_dtype(rule: Rule, dtype: np.dtype) -> np.dtype:
    """Dtype of the packed operands for `rule`."""
    wide = isinstance(rule, Dithered | Coarse)
    return np.dtype(np.float64) if wide else np.dtype(dtype)
