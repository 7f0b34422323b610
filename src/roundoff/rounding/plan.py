"""What one perturbed operator call needs to know: the contract with every kernel."""

from dataclasses import dataclass
from functools import cached_property

from roundoff.rounding.elementary import Dither, Signs, dither, signs
from roundoff.rounding.environment import DIRECTIONS, environment_works

MODES = ("random", "nearness", "upward", "downward", "toward_zero", "nearest")
ORDERS = ("native", "verrou", "onednn-avx2", "onednn-avx512", "mkl", "sequential")
LIBM = ("internal", "output", "exclude")


@dataclass(frozen=True)
class Plan:
    """Mode, order and random stream of one operator call.

    `key` is the 64-bit stream key of this call (see `streams.stream_key`), `threads`
    the number of threads to use (it never changes a bit of the result), `precision`
    the number of significand bits (24 is float32; float64 data ignores it).
    """

    mode: str = "random"
    order: str = "native"
    key: int = 0
    threads: int = 1
    libm: str = "internal"
    precision: int = 24

    def __post_init__(self) -> None:
        for field, known in (("mode", MODES), ("order", ORDERS), ("libm", LIBM)):
            if getattr(self, field) not in known:
                raise ValueError(
                    f"{field}={getattr(self, field)!r} is unknown: use one of "
                    + ", ".join(known)
                )
        if self.threads < 1:
            raise ValueError(f"threads={self.threads} must be at least 1")
        if not 2 <= self.precision <= 24:
            raise ValueError(f"precision={self.precision} must be between 2 and 24")
        if not 0 <= self.key < 2**64:
            raise ValueError("key must be an unsigned 64-bit integer (see stream_key)")

    @cached_property
    def rounder(self) -> Signs | Dither:
        """Rounding rule handed to the kernels; its type selects the arithmetic."""
        if self.mode == "nearness" or self.precision < 24:
            return dither(self.mode, self.precision)
        if self.mode == "random" and not environment_works():
            return dither(self.mode, self.precision)
        return signs(self.mode)

    @cached_property
    def direction(self) -> int:
        """Constant for `set_rounding` that belongs to `rounder`."""
        if isinstance(self.rounder, Dither):
            return DIRECTIONS["nearest"]
        ruling = {"random": "downward", "upward": "downward"}
        return DIRECTIONS[ruling.get(self.mode, self.mode)]
