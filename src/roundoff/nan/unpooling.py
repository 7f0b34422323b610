"""Max-unpooling that writes NaN to every position tied for its window's maximum."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from roundoff.nan.checks import check_input, sizes
from roundoff.nan.ties import unpack

Size = int | Sequence[int]


def nan_max_unpool2d(
    values: Tensor,
    indices: Tensor,
    ties: Tensor | None,
    kernel_size: Size,
    stride: Size | None = None,
    output_size: Sequence[int] | None = None,
    *,
    padding: Size = 0,
) -> Tensor:
    """Conservative unpooling: NaN on all cells of a tied window, else its maximum.

    values: [N, C, h, w]; `indices` and `ties` as `tie_max_pool2d` returned them.
    Positions no window writes are 0. Where windows overlap the last one wins, in
    row-major order, whether it writes NaN or a number. `ties` None is ordinary
    max-unpooling by `indices`, with the same order.

    `output_size`: (H, W), or a whole shape of which the last two count; by default
    (h - 1) * stride - 2 * padding + kernel_size per axis. Raises ValueError where
    positions do not fit into it.
    """
    return _unpool(values, indices, ties, 2, kernel_size, stride, output_size, padding)


def nan_max_unpool3d(
    values: Tensor,
    indices: Tensor,
    ties: Tensor | None,
    kernel_size: Size,
    stride: Size | None = None,
    output_size: Sequence[int] | None = None,
    *,
    padding: Size = 0,
) -> Tensor:
    """`nan_max_unpool2d` for [N, C, d, h, w]."""
    return _unpool(values, indices, ties, 3, kernel_size, stride, output_size, padding)


def _unpool(values, indices, ties, dims, kernel_size, stride, output_size, padding):
    check_input(values, dims, "values")
    kernel = sizes(kernel_size, dims, "kernel_size")
    stride = kernel if stride is None else sizes(stride, dims, "stride")
    padding = sizes(padding, dims, "padding", minimum=0)
    grid = tuple(values.shape[2:])
    default = tuple(
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(grid, stride, padding, kernel, strict=True)
    )
    size = default if output_size is None else tuple(output_size)[-dims:]
    _check_indices(values, indices, size)
    if ties is None:
        return _by_index(values, indices, size)
    cells = unpack(ties, prod(kernel))
    if cells.shape[:-1] != values.shape:
        raise ValueError(
            f"ties of shape {tuple(ties.shape)} do not belong to values of shape "
            f"{tuple(values.shape)}: pass what the pooling of this level returned"
        )
    _check_windows(indices, size, kernel, stride, padding)
    return _by_cell(values, cells, size, kernel, stride, padding)


def _check_indices(values: Tensor, indices: Tensor, size: tuple[int, ...]) -> None:
    if indices.dtype != torch.int64 or indices.shape != values.shape:
        raise ValueError(
            f"indices must be int64 of the shape of values {tuple(values.shape)}, not "
            f"{indices.dtype} of shape {tuple(indices.shape)}"
        )
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < prod(
        size
    ):
        raise ValueError(
            f"indices reach {int(indices.max())}, outside output_size {size}: give the "
            "size of what was pooled"
        )


def _check_windows(indices, size, kernel, stride, padding) -> None:
    """Refuse an output size of another width than the pooled plane's."""
    rest = indices
    for axis in reversed(range(len(size))):
        place = rest % size[axis] if axis else rest
        rest = rest // size[axis]
        shape = [1] * indices.dim()
        shape[axis + 2] = -1
        starts = torch.arange(indices.shape[axis + 2], device=indices.device)
        starts = (starts * stride[axis] - padding[axis]).reshape(shape)
        inside = (place >= starts) & (place < starts + kernel[axis])
        if not bool(inside.all()):
            raise ValueError(
                f"indices do not lie in their windows for output_size {size}, "
                f"kernel_size {kernel}, stride {stride}, padding {padding}: give the "
                "size of what was pooled and the pooling's own settings"
            )


def _by_index(values: Tensor, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    """Ordinary unpooling; of windows with the same index the last one wins."""
    flat = indices.flatten(2)
    windows = flat.shape[2]
    rank = torch.arange(windows, device=flat.device).expand_as(flat)
    last = flat.new_full((*flat.shape[:2], prod(size)), -1)
    last.scatter_reduce_(2, flat, rank, "amax")
    written = values.flatten(2).gather(2, last.clamp(min=0))
    return torch.where(last >= 0, written, 0.0).unflatten(2, size)


def _by_cell(values, cells, size, kernel, stride, padding) -> Tensor:
    """One strided write per cell of the window: positions within it never collide."""
    grid = tuple(values.shape[2:])
    room = tuple(
        max(p + n, (g - 1) * s + k)
        for p, n, g, s, k in zip(padding, size, grid, stride, kernel, strict=True)
    )
    tied = (cells.sum(-1) > 1) | values.isnan()
    written = torch.where(tied, float("nan"), values)
    rank = torch.arange(prod(grid), device=values.device).reshape(grid)
    last = torch.full(
        (*values.shape[:2], *room), -1, dtype=torch.int64, device=values.device
    )
    for number, place in _places(kernel, stride, grid):
        mine = torch.where(cells[..., number], rank, -1)
        last[place] = torch.maximum(last[place], mine)
    result = values.new_zeros((*values.shape[:2], *room))
    for number, place in _places(kernel, stride, grid):
        wins = cells[..., number] & (last[place] == rank)
        result[place] = torch.where(wins, written, result[place])
    crop = tuple(slice(p, p + n) for p, n in zip(padding, size, strict=True))
    return result[(slice(None), slice(None), *crop)].contiguous()


def _places(kernel, stride, grid) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Each cell's number and the positions it has over all windows."""
    for number in range(prod(kernel)):
        offsets, rest = [], number
        for k in reversed(kernel):
            offsets.append(rest % k)
            rest //= k
        spans = [
            slice(o, o + (n - 1) * s + 1, s)
            for o, n, s in zip(reversed(offsets), grid, stride, strict=True)
        ]
        yield number, (slice(None), slice(None), *spans)
