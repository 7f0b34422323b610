"""Learnable and stochastic pooling, as functions.

All take images (N, C, H, W) of any float type, any kernel and stride (the kernel's own
by default), no padding. What is random takes its draws from the `generator` passed, or
from PyTorch's own.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from roundoff.poolers.windows import Size, pair, uniform, windows

Stochastic = Literal["proportional", "softmax", "log_softmax"]


def mixing_pool2d(
    x: Tensor, mix: Tensor, kernel_size: Size, stride: Size | None = None
) -> Tensor:
    """s M + (1 - s) A with s = logistic(mix): maximum and mean of the window, mixed.

    `mix`: one number per channel, (C,). Lee et al. 2016, arXiv 1509.08985, mixed
    max-average pooling. The gradient of `mix` is s'(mix) (M - A).
    """
    cells = windows(x, kernel_size, stride)
    share = torch.sigmoid(mix)[:, None, None]
    return _between(cells, share)


def gated_pool2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
) -> Tensor:
    """As `mixing_pool2d`, with a share that each window decides for itself.

    The share is logistic(w . window + b); `weight` (C, *kernel), `bias` (C,). Lee et
    al. 2016, arXiv 1509.08985, gated max-average pooling.
    """
    cells = windows(x, kernel_size, stride)
    flat = weight.flatten(1)[:, None, None, :]
    gate = (cells * flat).sum(-1) + bias[:, None, None]
    return _between(cells, torch.sigmoid(gate))


def _between(cells: Tensor, share: Tensor) -> Tensor:
    return share * cells.amax(-1) + (1 - share) * cells.mean(-1)


def probabilities(cells: Tensor, mode: Stochastic) -> Tensor:
    """How likely each cell of a window is drawn: the last axis sums to 1.

    "proportional": by value, negative ones counting as 0; a window without any positive
    value is drawn from evenly. The softmaxes are one distribution, computed in two
    ways: exponentials over their sum, or the exponential of the logarithm.
    """
    if mode == "softmax":
        return torch.softmax(cells, -1)
    if mode == "log_softmax":
        return torch.log_softmax(cells, -1).exp()
    if mode != "proportional":
        raise ValueError(
            f"mode must be proportional, softmax or log_softmax, not {mode!r}"
        )
    positive = cells.clamp_min(0)
    total = positive.sum(-1, keepdim=True)
    even = torch.full_like(cells, 1 / cells.shape[-1])
    return torch.where(total > 0, positive / torch.where(total > 0, total, 1.0), even)


def stochastic_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    mode: Stochastic = "proportional",
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """In training one cell of the window by chance; in evaluation their expectation.

    Zeiler & Fergus 2013, arXiv 1301.3557. Only the drawn cell has a gradient.
    """
    cells = windows(x, kernel_size, stride)
    chance = probabilities(cells, mode)
    if not training:
        return (chance * cells).sum(-1)
    drawn = uniform(cells.shape[:-1], cells, generator)
    reached = chance.detach().to(drawn.dtype).cumsum(-1)
    # The sums end near 1, not at it: the draw is scaled to what is there.
    place = (reached < (drawn * reached[..., -1])[..., None]).sum(-1, keepdim=True)
    place = place.clamp_max(cells.shape[-1] - 1)
    return cells.gather(-1, place)[..., 0]


def s3_pool2d(
    x: Tensor,
    kernel_size: Size = 2,
    stride: Size | None = None,
    grid_size: int = 4,
    training: bool = True,
    generator: torch.Generator | None = None,
    first: Literal["max", "identity"] = "max",
) -> Tensor:
    """Max pooling of stride 1, then rows and columns drawn at random in each block.

    Of every block of `grid_size` rows, one row in `stride` is kept, and likewise of the
    columns; the last block may be smaller. Evaluation: adaptive max pooling to the same
    size. Zhai et al. 2017, arXiv 1611.05138. `first="identity"` leaves the max pooling
    out, as the released code does by mistake.
    """
    kernel = pair(kernel_size, "kernel_size")
    step = kernel if stride is None else pair(stride, "stride")
    if grid_size < max(step):
        raise ValueError(f"grid_size {grid_size} must be at least the stride {step}")
    blocks = [_blocks(n, grid_size, s) for n, s in zip(x.shape[2:], step, strict=True)]
    size = tuple(sum(keep for _, keep in b) for b in blocks)
    if not training:
        return F.adaptive_max_pool2d(x, size)
    if first == "max":
        lowest = torch.finfo(x.dtype).min
        padded = F.pad(x, (0, kernel[1] - 1, 0, kernel[0] - 1), value=lowest)
        x = windows(padded, kernel, 1).amax(-1)
    for axis, parts in zip((2, 3), blocks, strict=True):
        x = x.index_select(axis, _drawn(parts, x, generator))
    return x


def _blocks(length: int, grid: int, step: int) -> list[tuple[int, int]]:
    """(size, how many to keep) of the blocks along an axis."""
    sizes = [min(grid, length - start) for start in range(0, length, grid)]
    return [(n, max(1, n // step)) for n in sizes]


def _drawn(parts, like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    chosen, start = [], 0
    for size, keep in parts:
        order = torch.randperm(size, generator=generator, device=device)[:keep]
        chosen.append(start + order.sort().values)
        start += size
    return torch.cat(chosen).to(like.device)


def tdgs_pool2d(
    x: Tensor,
    temperature: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Temperature-driven Gumbel softmax: a cell drawn with logits a / temperature.

    `temperature`: positive, (C, OH, OW), one per channel and output position. Training:
    a hard draw whose gradient is the soft one's (straight-through, Jang et al. 2017,
    arXiv 1611.01144). Evaluation: the sum weighted by softmax(a / temperature). Near 0
    this is max pooling, for large temperatures average pooling.
    """
    cells = windows(x, kernel_size, stride)
    if temperature.shape != cells.shape[1:4]:
        raise ValueError(
            f"temperature has the shape {tuple(temperature.shape)}; this input needs "
            f"{tuple(cells.shape[1:4])}: channels and output positions"
        )
    logits = cells / temperature[..., None]
    if not training:
        return (torch.softmax(logits, -1) * cells).sum(-1)
    noise = uniform(cells.shape, cells, generator)
    noise = -torch.log(-torch.log(noise)).to(cells.dtype)
    soft = torch.softmax(logits + noise, -1)
    place = soft.argmax(-1, keepdim=True)
    hard = torch.zeros_like(soft).scatter(-1, place, 1.0)
    return ((hard - soft.detach() + soft) * cells).sum(-1)
