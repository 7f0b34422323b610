"""ReLU with a chosen derivative s at zero."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

Variant = Literal["correct", "published"]
VARIANTS = ("correct", "published")


class _ReLUZero(torch.autograd.Function):
    """max(x, 0), whose derivative at exactly 0 is `slope`."""

    @staticmethod
    def forward(ctx, x, slope, variant):
        ctx.save_for_backward(x)
        ctx.slope, ctx.variant = slope, variant
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        through = torch.where(x > 0, gradient, torch.zeros_like(gradient))
        if ctx.slope == 0:
            return through, None, None
        if ctx.variant == "correct":
            at_zero = gradient * ctx.slope
        else:
            at_zero = torch.full_like(gradient, ctx.slope)
        return torch.where(x == 0, at_zero, through), None, None


def relu_zero(
    x: torch.Tensor, slope: float = 0.0, variant: Variant = "correct"
) -> torch.Tensor:
    """ReLU of any shape and float type with derivative `slope` (s) at exactly zero.

    `variant` says what passes back through a zero: `correct`, s times the incoming
    gradient (the chain rule), or `published`, s itself, whatever comes in, as the code
    released with the paper does (its authors published an erratum). They are the same
    for s = 0. Raises ValueError for another variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {VARIANTS}, not {variant!r}")
    return _ReLUZero.apply(x, float(slope), variant)


class ReLUZero(nn.Module):
    """`relu_zero` as a module; its `slope` may be changed at any time."""

    def __init__(self, slope: float = 0.0, variant: Variant = "correct"):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {VARIANTS}, not {variant!r}")
        self.slope, self.variant = float(slope), variant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape and type as `x`."""
        return relu_zero(x, self.slope, self.variant)

    def extra_repr(self) -> str:
        """Slope and variant, for printing a network."""
        return f"slope={self.slope}, variant={self.variant}"


def set_slope(network: nn.Module, slope: float, variant: Variant = "correct") -> None:
    """Set s (and the variant) in every `ReLUZero` of a network."""
    for relu in relus(network).values():
        relu.slope, relu.variant = float(slope), variant


def relus(network: nn.Module) -> dict[str, ReLUZero]:
    """The `ReLUZero` modules of a network by path, in the order they were defined."""
    return {n: m for n, m in network.named_modules() if isinstance(m, ReLUZero)}


@contextmanager
def watched(network: nn.Module) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Yield a dictionary that collects the input of every ReLU, by path, as they run.

    The tensors are detached but not copied; clear the dictionary between batches.
    """
    seen: dict[str, list[torch.Tensor]] = {}

    def hook(name):
        def keep(module, inputs):
            seen.setdefault(name, []).append(inputs[0].detach())

        return keep

    handles = [
        relu.register_forward_pre_hook(hook(name))
        for name, relu in relus(network).items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
