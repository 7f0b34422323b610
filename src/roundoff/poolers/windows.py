"""Pooling windows of a batch of images."""

from collections.abc import Sequence

import torch
from torch import Tensor

Size = int | Sequence[int]


def pair(value: Size, name: str) -> tuple[int, int]:
    """A size per axis; raises ValueError unless both are whole and positive."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or any(not isinstance(v, int) or v < 1 for v in both):
        raise ValueError(f"{name} must be one or two positive sizes, not {value!r}")
    return both


def windows(x: Tensor, kernel_size: Size, stride: Size | None) -> Tensor:
    """Windows of `x` (N, C, H, W): (N, C, OH, OW, cells), rows first.

    Whole windows only, no padding. Made of slices, so that gradients are sums of whole
    additions, as random rounding needs them. Raises ValueError for another number of
    axes and for images smaller than the kernel.
    """
    if x.dim() != 4:
        raise ValueError(f"poolers take (N, C, H, W), not {tuple(x.shape)}")
    kernel = pair(kernel_size, "kernel_size")
    step = kernel if stride is None else pair(stride, "stride")
    if x.shape[2] < kernel[0] or x.shape[3] < kernel[1]:
        raise ValueError(
            f"the kernel {kernel} does not fit into images of {tuple(x.shape[2:])}"
        )
    last = [
        (n - k) // s * s + 1 for n, k, s in zip(x.shape[2:], kernel, step, strict=True)
    ]
    cells = [
        x[:, :, row : row + last[0] : step[0], column : column + last[1] : step[1]]
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]
    return torch.stack(cells, -1)


def uniform(shape: Sequence[int], like: Tensor, generator: torch.Generator | None):
    """Draws from (0, 1), never 0, of a float type wide enough, on `like`'s device."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    device = like.device if generator is None else generator.device
    drawn = torch.rand(shape, dtype=dtype, device=device, generator=generator)
    tiny = torch.finfo(dtype).tiny
    return drawn.clamp_min(tiny).to(like.device)
