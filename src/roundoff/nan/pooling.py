"""Max pooling that notices when its winner is undetermined.

A window with several values close to its maximum is *tied*: rounding noise decides
which position wins. Aggressive pooling answers NaN there; conservative pooling keeps
the maximum and remembers all tied positions. Gonzalez-Pepe et al., arXiv 2601.17180.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from roundoff.nan.ties import Criterion, PooledWindows, TieRule, examine, pack

Size = int | Sequence[int]


def nan_max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    *,
    max_threshold: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    nan_probability: float = 1.0,
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
    criterion: Criterion = "close",
    padding: Size = 0,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """Aggressive pooling: NaN where a window is tied, its maximum elsewhere.

    x: [N, C, H, W], floating point; NaN counts as -inf. An element is close to the
    maximum m if it equals m or, both finite, differs by at most atol + rtol |m| (`rtol`
    None: the machine epsilon of the dtype); a window with more than `max_threshold`
    close elements is tied. One without any value above -inf is void: NaN as well.

    With `nan_probability` p < 1 a tied window becomes NaN where a uniform number is
    below p: one [N, C, OH, OW] tensor drawn from `generator`, or given as `uniforms`.

    Padded cells are absent: never the maximum, never tied. Returns values in the dtype
    of x and int64 flat positions row * W + column: the first maximum, or the window's
    origin where the value is NaN. Raises TypeError and ValueError for bad arguments.
    Rules: arXiv 2601.17180, with the corrections told in docs/nan_operations.md.

    >>> nan_max_pool2d(torch.tensor([[[[3.0, 3.0], [1.0, 2.0]]]]), 2)[0].item()
    nan
    """
    rule = TieRule(max_threshold, rtol, atol, criterion)
    pooled = examine(x, 2, rule, kernel_size, stride, padding, ceil_mode)
    return _aggressive(pooled, nan_probability, generator, uniforms)


def nan_max_pool3d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    *,
    max_threshold: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    nan_probability: float = 1.0,
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
    criterion: Criterion = "close",
    padding: Size = 0,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """`nan_max_pool2d` for [N, C, D, H, W]; flat positions in D * H * W."""
    rule = TieRule(max_threshold, rtol, atol, criterion)
    pooled = examine(x, 3, rule, kernel_size, stride, padding, ceil_mode)
    return _aggressive(pooled, nan_probability, generator, uniforms)


def tie_max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    *,
    max_threshold: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    criterion: Criterion = "close",
    padding: Size = 0,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Conservative pooling: the maximum of every window, and the cells tied for it.

    x: [N, C, H, W]; arguments as in `nan_max_pool2d`. Returns values (NaN for a void
    window), int64 flat positions of the first maximum, and `ties`: per window the cells
    that unpooling writes, bit r * kw + c for row r and column c of the window (uint8 up
    to 8 cells, int64 up to 64, a boolean axis of cells above that). A tied or void
    window has all its tied cells there, any other its first maximum alone.
    `ties_to_positions` makes lists of it.
    """
    rule = TieRule(max_threshold, rtol, atol, criterion)
    return _conservative(examine(x, 2, rule, kernel_size, stride, padding, ceil_mode))


def tie_max_pool3d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    *,
    max_threshold: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    criterion: Criterion = "close",
    padding: Size = 0,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """`tie_max_pool2d` for [N, C, D, H, W]; flat positions in D * H * W."""
    rule = TieRule(max_threshold, rtol, atol, criterion)
    return _conservative(examine(x, 3, rule, kernel_size, stride, padding, ceil_mode))


def _aggressive(
    pooled: PooledWindows,
    probability: float,
    generator: torch.Generator | None,
    uniforms: Tensor | None,
) -> tuple[Tensor, Tensor]:
    gone = pooled.tied & _drawn(pooled.tied, probability, generator, uniforms)
    gone |= pooled.void
    flat, cells = _positions(pooled)
    origin = cells.to(torch.uint8).argmax(-1)  # the first cell inside the plane
    cell = torch.where(gone, origin, pooled.first)
    return torch.where(gone, float("nan"), pooled.maximum), _at(flat, cell)


def _conservative(pooled: PooledWindows) -> tuple[Tensor, Tensor, Tensor]:
    flat, _ = _positions(pooled)
    alone = torch.zeros_like(pooled.close).scatter_(-1, pooled.first[..., None], True)
    ties = torch.where(pooled.tied[..., None], pooled.close, alone)
    return pooled.maximum, _at(flat, pooled.first), pack(ties)


def _positions(pooled: PooledWindows) -> tuple[Tensor, Tensor]:
    """Flat position of every cell, and whether it is present: [*grid, cells]."""
    places = pooled.windows.coordinates(pooled.first.device)
    return pooled.windows.flat(places), pooled.windows.present(places)


def _at(flat: Tensor, cell: Tensor) -> Tensor:
    expanded = flat.expand(*cell.shape, flat.shape[-1])
    return expanded.gather(-1, cell[..., None]).squeeze(-1)


def _drawn(
    tied: Tensor,
    probability: float,
    generator: torch.Generator | None,
    uniforms: Tensor | None,
) -> Tensor | bool:
    if not 0 <= probability <= 1:
        raise ValueError(
            f"nan_probability must lie between 0 and 1, not {probability!r}"
        )
    if uniforms is not None:
        if uniforms.shape != tied.shape:
            raise ValueError(
                f"uniforms must have one number per output element, shape "
                f"{tuple(tied.shape)}, not {tuple(uniforms.shape)}"
            )
        return uniforms.to(tied.device) < probability
    if probability in (0, 1):
        return torch.full_like(tied, bool(probability))
    if generator is None:
        raise ValueError(
            "nan_probability below 1 draws random numbers: pass a torch.Generator as "
            "generator, or the numbers as uniforms"
        )
    drawn = torch.rand(tied.shape, generator=generator, device=generator.device)
    return drawn.to(tied.device) < probability
