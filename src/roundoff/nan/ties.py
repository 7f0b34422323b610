"""The tie test, and sets of cells as bitmaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from roundoff.nan.checks import (
    accumulator,
    check_input,
    check_max_threshold,
    check_tolerance,
)
from roundoff.nan.windows import Windows, pooling_windows

Criterion = Literal["close", "constant"]


@dataclass(frozen=True)
class TieRule:
    """When a window counts as tied.

    An element is close to the maximum m if equal to it, or if both are finite and
    |e - m| <= atol + rtol |m|. `rtol` None is the machine epsilon of the input's dtype.
    A window is tied if more than `max_threshold` elements are close; with the criterion
    "constant" only if also all its values lie that near (minimum against maximum):
    in half precision close pairs are too frequent to mean much.
    """

    max_threshold: int = 1
    rtol: float | None = None
    atol: float = 0.0
    criterion: Criterion = "close"

    def __post_init__(self):
        check_max_threshold(self.max_threshold)
        check_tolerance(self.rtol, "rtol")
        check_tolerance(self.atol, "atol")
        if self.criterion not in ("close", "constant"):
            raise ValueError(
                f"criterion must be 'close' or 'constant', not {self.criterion!r}"
            )

    def relative(self, dtype: torch.dtype) -> float:
        """The relative tolerance for values stored as `dtype`."""
        return torch.finfo(dtype).eps if self.rtol is None else self.rtol


@dataclass(frozen=True)
class PooledWindows:
    """What pooling knows of every window; tensors of shape [N, C, *grid]."""

    windows: Windows
    maximum: Tensor  # of the input's dtype; NaN where void
    first: Tensor  # cell of the first maximum
    tied: Tensor  # more close elements than allowed, or void
    void: Tensor  # nothing but NaN and -inf
    close: Tensor  # [N, C, *grid, cells]


def examine(
    x: Tensor, dims: int, rule: TieRule, kernel_size, stride, padding, ceil_mode
) -> PooledWindows:
    """Apply the tie test to every pooling window of `x`."""
    check_input(x, dims)
    windows = pooling_windows(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    held = windows.gather(x.to(accumulator(x.dtype)), float("-inf"))
    known = held.detach()
    known = torch.where(known.isnan(), float("-inf"), known)
    m = known.amax(-1, keepdim=True)
    tolerance = rule.atol + rule.relative(x.dtype) * m.abs()
    near = (known - m).abs() <= tolerance
    close = (known == m) | (near & known.isfinite() & m.isfinite())
    present = windows.present(windows.coordinates(x.device))
    close &= present
    void = m.squeeze(-1) == float("-inf")
    tied = close.sum(-1) > rule.max_threshold
    if rule.criterion == "constant":
        absent = held.detach().isnan() | ~present
        tied &= (close | absent).all(-1)
    first = (known == m).logical_and(present).to(torch.uint8).argmax(-1)
    maximum = held.gather(-1, first[..., None]).squeeze(-1).to(x.dtype)
    maximum = torch.where(void, float("nan"), maximum)
    return PooledWindows(windows, maximum, first, tied | void, void, close)


def pack(cells: Tensor) -> Tensor:
    """Sets of cells, bool [..., cells], as a bitmap: bit i stands for cell i.

    uint8 up to 8 cells, int64 up to 64; above that the boolean tensor itself.
    """
    count = cells.shape[-1]
    if count > 64:
        return cells
    dtype = torch.uint8 if count <= 8 else torch.int64
    bits = torch.zeros(cells.shape[:-1], dtype=dtype, device=cells.device)
    for i in range(count):
        bits |= cells[..., i].to(dtype) << i
    return bits


def unpack(ties: Tensor, cells: int) -> Tensor:
    """The inverse of `pack`: bool [..., cells]."""
    if ties.dtype == torch.bool:
        if ties.shape[-1:] != (cells,):
            raise ValueError(
                f"ties must end in an axis of {cells} cells, not shape "
                f"{tuple(ties.shape)}"
            )
        return ties
    if ties.dtype not in (torch.uint8, torch.int64) or cells > 64:
        raise TypeError(
            f"ties must be the bitmap that tie_max_pool returns (uint8 up to 8 cells, "
            f"int64 up to 64, bool above), not {ties.dtype} for {cells} cells"
        )
    return torch.stack([(ties >> i) & 1 for i in range(cells)], -1).bool()


def ties_to_positions(
    ties: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    input_size: Sequence[int],
    *,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
) -> list:
    """The cells of a bitmap as flat positions of the input plane, for reading.

    `input_size`: spatial size of what was pooled, (H, W) or (D, H, W); the other
    arguments as given to the pooling. Returns nested lists [n][c][i][j] of ascending
    positions. `positions_to_ties` is the inverse.
    """
    windows = pooling_windows(input_size, kernel_size, stride, padding, ceil_mode)
    members = unpack(ties, windows.cells)
    if tuple(members.shape[2:-1]) != windows.grid:
        raise ValueError(
            f"ties of shape {tuple(ties.shape)} do not belong to {windows.grid} "
            f"windows over an input of size {windows.plane}"
        )
    flat = windows.flat(windows.coordinates(ties.device)).expand(members.shape)
    members, flat = members.reshape(-1, windows.cells), flat.reshape(-1, windows.cells)
    lists = [p[m].tolist() for p, m in zip(flat, members, strict=True)]
    for size in reversed(ties.shape[1 : 2 + len(windows.grid)]):
        lists = [lists[i : i + size] for i in range(0, len(lists), size)]
    return lists


def positions_to_ties(
    positions: list,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    input_size: Sequence[int],
    *,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
) -> Tensor:
    """Bitmap of nested lists [n][c][i][j] of flat positions; see `ties_to_positions`.

    Raises ValueError for a position outside its window.
    """
    windows = pooling_windows(input_size, kernel_size, stride, padding, ceil_mode)
    leaves, shape = list(positions), [len(positions)]
    for _ in range(1 + len(windows.grid)):
        shape.append(len(leaves[0]))
        leaves = [item for row in leaves for item in row]
    flat = windows.flat(windows.coordinates()).reshape(-1, windows.cells)
    cells = torch.zeros(len(leaves), windows.cells, dtype=torch.bool)
    for number, wanted in enumerate(leaves):
        held = torch.isin(flat[number % len(flat)], torch.tensor(wanted).long())
        if int(held.sum()) != len(set(wanted)):
            raise ValueError(f"positions {wanted} do not all lie in window {number}")
        cells[number] = held
    return pack(cells.reshape(*shape, windows.cells))
