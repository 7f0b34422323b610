"""The functional NaN convolution by the compiled kernels, where they are worth it."""

import torch
from torch import Tensor

from roundoff.nan import kernels
from roundoff.nan.skips import ConvShape

HALF = (torch.float16, torch.bfloat16)
MOST_WEIGHT = 1 << 20  # elements: beyond that weights stream from memory for each tile


def crossover(shape: ConvShape) -> float:
    """Share of saved positions from which the kernels beat oneDNN (measured).

    See benchmarks/nan_conv.py for the measurements.
    """
    cells = shape.window // shape.in_channels
    fewest = min(shape.in_channels, shape.out_channels)
    if fewest < 4:
        return 0.95  # vectors of channels are mostly empty
    if max(shape.dilation) > 1:
        return 0.6
    if fewest < 16:
        return 0.5
    if cells == 1:
        return 0.25
    return 0.12 if cells < 25 else 0.04


def takes(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Whether the kernels can run a convolution: float32 on the CPU, no gradients."""
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return False
    return (
        groups == 1
        and weight.dtype == torch.float32
        and weight.numel() <= MOST_WEIGHT
        and weight.shape[0] <= kernels.MOST_CHANNELS
        and kernels.usable(x)
    )


def skip_windows(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    shape: ConvShape,
    threshold: float,
    fill: str,
) -> Tensor | None:
    """The NaN convolution with skipped windows; None where another way is better.

    Half precision is widened to float32 and the result rounded once, at the end.
    """
    if x.dtype in HALF and weight.dtype == x.dtype and kernels.unobserved():
        wide = x.float(), weight.float(), None if bias is None else bias.float()
        made = skip_windows(*wide, shape, threshold, fill)
        return None if made is None else made.to(x.dtype)
    needs = bias is not None and bias.requires_grad and torch.is_grad_enabled()
    if needs or not shape.symmetric or not takes(x, weight, shape.groups):
        return None
    data = kernels.channels_last(x.detach())
    counts = kernels.scan(data)
    if not counts.view(torch.int16).any():
        return None
    plan = kernels.Plan(x.shape, shape, threshold, fill, counts)
    if plan.share(kernels.SKIPPED) < crossover(shape):
        return None
    bias = None if bias is None else bias.detach()
    packed = kernels.pack_weight(weight.detach(), bias)
    return plan.run(data, packed, write_nan=True)[0]
