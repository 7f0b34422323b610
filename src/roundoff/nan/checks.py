"""Checks of arguments shared by the NaN operations: each error names the argument."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AXES = {2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}


def sizes(
    value: int | Sequence[int], dims: int, name: str, minimum: int = 1
) -> tuple[int, ...]:
    """One whole number per spatial axis; a single one stands for all axes."""
    items = (value,) * dims if isinstance(value, int) else tuple(value)
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in items)
    if len(items) != dims or not whole or any(i < minimum for i in items):
        raise ValueError(
            f"{name} must be a whole number of at least {minimum}, or {dims} of them, "
            f"not {value!r}"
        )
    return items


def check_input(x: Tensor, dims: int, name: str = "x") -> None:
    """Floating point values with batch and channel axes, or an error."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(x).__name__}")
    if x.dtype not in DTYPES:
        raise TypeError(
            f"{name} is {x.dtype}; NaN operations take float16, bfloat16, float32 or "
            f"float64: convert it first, e.g. {name}.float()"
        )
    if x.dim() != dims + 2:
        raise ValueError(
            f"{name} must have {dims + 2} axes {AXES[dims]}, not shape "
            f"{tuple(x.shape)}; add a batch axis with unsqueeze(0)"
        )


def check_tolerance(value: float | None, name: str) -> None:
    """A finite tolerance of at least 0 (or None for the default)."""
    if value is not None and not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")


def check_max_threshold(value: int) -> None:
    """A count of close elements, never a ratio."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"max_threshold must be a whole number of at least 1 (a count of close "
            f"elements, not a ratio), not {value!r}"
        )


def check_threshold(value: float) -> float:
    """The NaN ratio from which a window is skipped: above 0; above 1 skips nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(
            f"threshold must be a number above 0 (1 skips windows of nothing but NaN, "
            f"above 1 skips nothing), not {value!r}"
        )
    return float(value)


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype arithmetic is done in: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32
