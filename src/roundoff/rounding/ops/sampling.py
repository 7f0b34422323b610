"""`grid_sample` and `affine_grid`: coordinates carry most of the noise."""

import math

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, NoKernel, operator
from roundoff.rounding.kernels import sampling as kernels
from roundoff.rounding.ops.layout import contiguous, working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.threads import run_in_chunks

aten = torch.ops.aten
BILINEAR, NEAREST = 0, 1


def _arrays(x: torch.Tensor, grid: torch.Tensor):
    dtype = working(x.dtype)
    values = contiguous(x.to(dtype))
    points = contiguous(grid.to(dtype)).reshape(-1, grid.shape[-1])
    return values, points, values.dtype.type(0.5)


def _sample(call: Call, function, cost, x, values, places, size):
    out = np.empty((*x.shape[:2], math.prod(size)), values.dtype)
    if out.size:
        run_in_chunks(
            function,
            places.shape[0],
            call.plan(),
            values,
            places,
            out.shape[2],
            out,
            smallest=512,
        )
    per_point, per_output = cost
    call.count(per_point * places.shape[0] + per_output * out.size)
    y = torch.from_numpy(out).reshape(*x.shape[:2], *size)
    return narrowed(call, y, x.dtype)


@operator("aten.grid_sampler_2d.default")
def grid_sample_2d(call: Call, x, grid, mode, padding, align) -> torch.Tensor:
    """Bilinear or nearest samples of (N, C, H, W) at (N, h, w, 2)."""
    if mode not in (BILINEAR, NEAREST):
        raise NoKernel
    values, points, half = _arrays(x, grid)
    places = np.empty_like(points)
    run_in_chunks(
        kernels.points2,
        points.shape[0],
        call.plan(),
        points,
        half,
        x.shape[2],
        x.shape[3],
        align,
        padding,
        places,
    )
    call.count(4 * points.shape[0])
    size = grid.shape[1:-1]
    if mode == NEAREST:
        values = values[:, :, None]
        return _sample(call, kernels.closest, (0, 0), x, values, places, size)
    return _sample(call, kernels.bilinear, (8, 4), x, values, places, size)


@operator("aten.grid_sampler_3d.default")
def grid_sample_3d(call: Call, x, grid, mode, padding, align) -> torch.Tensor:
    """Trilinear or nearest samples of (N, C, D, H, W) at (N, d, h, w, 3)."""
    values, points, half = _arrays(x, grid)
    places = np.empty_like(points)
    sizes = np.array(x.shape[2:], np.int64)
    run_in_chunks(
        kernels.points3,
        points.shape[0],
        call.plan(),
        points,
        half,
        sizes,
        align,
        padding,
        places,
    )
    call.count(12 * points.shape[0])
    size = grid.shape[1:-1]
    if mode == NEAREST:
        return _sample(call, kernels.closest, (0, 0), x, values, places, size)
    return _sample(call, kernels.trilinear, (18, 16), x, values, places, size)


@operator("aten.affine_grid_generator.default")
def affine_grid(call: Call, theta, size, align) -> torch.Tensor:
    """Base grid times the transform: a small matrix product per point."""
    axes = []
    for length in reversed(size[2:]):
        axis = torch.linspace(-1, 1, length, dtype=theta.dtype)
        if length <= 1:
            axis = torch.zeros(length, dtype=theta.dtype)
        elif not align:
            axis = call.run(aten.mul.Tensor, axis, (length - 1) / length)
        axes.append(axis)
    dims = len(axes)
    base = torch.ones(*size[2:], dims + 1, dtype=theta.dtype)
    for k, axis in enumerate(axes):
        shape = [1] * dims
        shape[dims - 1 - k] = -1
        base[..., k] = axis.reshape(shape)
    points = base.reshape(1, -1, dims + 1).expand(size[0], -1, -1)
    grid = call.run(aten.bmm.default, points, theta.transpose(1, 2))
    return grid.reshape(size[0], *size[2:], dims)
