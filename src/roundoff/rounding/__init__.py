"""Random rounding of every elementary float operation in PyTorch.

    with RandomRounding(mode="random", seed=3) as rounding:
        y = model(x)
    print(rounding.coverage)

Numba and the kernels are imported on first use.
"""

from roundoff.rounding.context import RandomRounding
from roundoff.rounding.coverage import Coverage, UnsupportedOperator
from roundoff.rounding.localise import (
    all_but_one,
    bits_per_module,
    lost_bits,
    one_at_a_time,
    significant_bits,
    smallest_set,
)

__all__ = [
    "Coverage",
    "RandomRounding",
    "UnsupportedOperator",
    "all_but_one",
    "bits_per_module",
    "lost_bits",
    "one_at_a_time",
    "significant_bits",
    "smallest_set",
]
