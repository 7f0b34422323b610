"""Random rounding of every elementary float operation in PyTorch.

    with RandomRounding(mode="random", seed=3) as rounding:
        y = model(x)
    print(rounding.coverage)

Numba and the kernels are imported on first use.
"""

from roundoff.rounding.context import RandomRounding
from roundoff.rounding.coverage import Coverage, UnsupportedOperator

__all__ = ["Coverage", "RandomRounding", "UnsupportedOperator"]
