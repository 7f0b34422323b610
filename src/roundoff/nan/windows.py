"""Pooling windows: where they lie and what they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.nan.checks import sizes


@dataclass(frozen=True)
class Windows:
    """Geometry of pooling windows over one plane (or volume); sizes per axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    plane: tuple[int, ...]  # input size
    grid: tuple[int, ...]  # number of windows

    @property
    def cells(self) -> int:
        """Cells of one window."""
        return prod(self.kernel)

    def overhangs(self) -> bool:
        """Whether a window reaches beyond the end of the plane (ceil mode)."""
        return any(
            (g - 1) * s + k - p > n
            for g, s, k, p, n in zip(
                self.grid,
                self.stride,
                self.kernel,
                self.padding,
                self.plane,
                strict=True,
            )
        )

    def coordinates(self, device: torch.device | None = None) -> Tensor:
        """Input coordinate of every cell, int64 [*grid, cells, dims]; may lie outside.

        Cells in row-major order.
        """
        axes = []
        for k, s, p, n in zip(
            self.kernel, self.stride, self.padding, self.grid, strict=True
        ):
            starts = torch.arange(n, device=device) * s - p
            axes.append(starts[:, None] + torch.arange(k, device=device))
        dims = len(axes)
        shape = (*self.grid, *self.kernel)
        spread = []
        for axis, places in enumerate(axes):
            view = [1] * (2 * dims)
            view[axis], view[dims + axis] = places.shape
            spread.append(places.reshape(view).expand(shape))
        return torch.stack(spread, -1).reshape(*self.grid, self.cells, dims)

    def present(self, coordinates: Tensor) -> Tensor:
        """Which cells lie inside the plane: bool [*grid, cells]."""
        limit = torch.tensor(self.plane, device=coordinates.device)
        return ((coordinates >= 0) & (coordinates < limit)).all(-1)

    def flat(self, coordinates: Tensor) -> Tensor:
        """Flat positions row * W + column in the plane, int64 [*grid, cells]."""
        position = coordinates[..., 0]
        for axis in range(1, len(self.plane)):
            position = position * self.plane[axis] + coordinates[..., axis]
        return position

    def gather(self, x: Tensor, absent: float) -> Tensor:
        """Values of every window, [N, C, *grid, cells]; `absent` beyond the plane."""
        dims = len(self.plane)
        amounts: list[int] = []
        for axis in reversed(range(dims)):
            stop = (self.grid[axis] - 1) * self.stride[axis] + self.kernel[axis]
            before = self.padding[axis]
            amounts += [before, max(0, stop - before - self.plane[axis])]
        if any(amounts):
            x = F.pad(x, amounts, value=absent)
        for axis in range(dims):
            x = x.unfold(axis + 2, self.kernel[axis], self.stride[axis])
            x = x.narrow(axis + 2, 0, self.grid[axis])
        return x.reshape(*x.shape[: 2 + dims], self.cells)


def pooling_windows(
    plane: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
) -> Windows:
    """Windows of a pooling, as PyTorch lays them; `stride` defaults to the kernel.

    Raises ValueError where a window does not fit or the padding exceeds half a kernel.
    """
    plane = tuple(plane)
    dims = len(plane)
    kernel = sizes(kernel_size, dims, "kernel_size")
    stride = kernel if stride is None else sizes(stride, dims, "stride")
    padding = sizes(padding, dims, "padding", minimum=0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"padding {padding} exceeds half the kernel_size {kernel}")
    grid = tuple(
        _count(*each, ceil_mode)
        for each in zip(plane, kernel, stride, padding, strict=True)
    )
    if min(grid) < 1:
        raise ValueError(
            f"kernel_size {kernel} does not fit into the input of size {plane} with "
            f"padding {padding}"
        )
    return Windows(kernel, stride, padding, plane, grid)


def _count(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    room = size + 2 * padding - kernel
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    # The last window must begin inside the input or its left padding.
    return count - 1 if (count - 1) * stride >= size + padding else count
