"""Resampling by `interpolate`: nearest, linear, bilinear, trilinear, bicubic."""

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import interpolation as kernels
from roundoff.rounding.ops.layout import working
from roundoff.rounding.ops.pointwise import narrowed, scalar
from roundoff.rounding.threads import run_in_chunks


def _scale(call: Call, dtype, source, target, align, factor):
    """Input steps per output step, in the working precision, one drawn division."""
    if align:
        value = (source - 1) / (target - 1) if target > 1 else 0.0
    elif factor is not None and factor > 0:
        value = 1.0 / factor
    else:
        value = source / target
    return scalar(call, value, dtype)


def _numpy(dtype: torch.dtype):
    return np.float64 if dtype == torch.float64 else np.float32


def linear_axis(call: Call, dtype, source, target, align, factor):
    """(indices (2, target), weights (2, target)) of one axis."""
    kind = _numpy(dtype)
    index = np.tile(np.arange(target), (2, 1))
    weights = np.stack([np.ones(target, kind), np.zeros(target, kind)])
    if source != target:
        scale = _scale(call, dtype, source, target, align, factor)
        run_in_chunks(
            kernels.linear_axis,
            target,
            call.plan(),
            scale,
            kind(0.5),
            align,
            source,
            index[0],
            index[1],
            weights,
        )
        call.count(4 * target)
    return index, weights


def _planes(x: torch.Tensor, dims: int) -> np.ndarray:
    x = x.detach().to(working(x.dtype)).contiguous()
    return x.numpy().reshape(-1, *x.shape[-dims:])


def _blend(call: Call, x, size, align, factors):
    dims = len(size)
    planes = _planes(x, dims)
    dtype = working(x.dtype)
    axes = [
        linear_axis(call, dtype, x.shape[2 + d], size[d], align, factors[d])
        for d in range(dims)
    ]
    out = np.empty((planes.shape[0], *size), planes.dtype)
    rows = int(np.prod(out.shape[:-1], dtype=np.int64))
    smallest = max(1, 4096 // size[-1])
    if dims == 1:
        arguments = (kernels.blend1, *axes[0][0], axes[0][1])
    elif dims == 2:
        (y, wy), (xs, wx) = axes
        arguments = (kernels.blend2, y[0], y[1], wy, xs[0], xs[1], wx)
    else:
        arguments = (kernels.blend3, *(part for axis in axes for part in axis))
    function, *arguments = arguments
    run_in_chunks(
        function, rows, call.plan(), planes, *arguments, out, smallest=smallest
    )
    call.count((2, 6, 14)[dims - 1] * out.size)
    return _finish(call, x, out, size)


def _finish(call: Call, x: torch.Tensor, out: np.ndarray, size) -> torch.Tensor:
    y = torch.from_numpy(out).reshape(*x.shape[:2], *size)
    y = narrowed(call, y, x.dtype)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        y = y.contiguous(memory_format=torch.channels_last)
    return y


@operator("aten.upsample_linear1d.default")
def linear1d(call: Call, x, size, align, factor=None):
    """Linear resampling of (N, C, W)."""
    return _blend(call, x, list(size), align, [factor])


@operator("aten.upsample_bilinear2d.default")
def bilinear2d(call: Call, x, size, align, *factors):
    """Bilinear resampling of (N, C, H, W)."""
    return _blend(call, x, list(size), align, [*factors, None, None][:2])


@operator("aten.upsample_trilinear3d.default")
def trilinear3d(call: Call, x, size, align, *factors):
    """Trilinear resampling of (N, C, D, H, W)."""
    return _blend(call, x, list(size), align, [*factors, None, None, None][:3])


@operator("aten.upsample_bicubic2d.default")
def bicubic2d(call: Call, x, size, align, *factors):
    """Bicubic resampling of (N, C, H, W)."""
    planes, dtype = _planes(x, 2), working(x.dtype)
    kind = _numpy(dtype)
    axes = []
    for d in range(2):
        source, target = x.shape[2 + d], size[d]
        scale = _scale(call, dtype, source, target, align, [*factors, None, None][d])
        index, weights = np.empty((4, target), np.int64), np.empty((4, target), kind)
        run_in_chunks(
            kernels.cubic_axis,
            target,
            call.plan(),
            scale,
            kind(0.5),
            kind(-0.75),
            align,
            source,
            index,
            weights,
        )
        call.count(18 * target)
        axes += [index, weights]
    out = np.empty((planes.shape[0], *size), planes.dtype)
    run_in_chunks(
        kernels.cubic2,
        out.shape[0] * out.shape[1],
        call.plan(),
        planes,
        *axes,
        out,
        smallest=max(1, 4096 // size[-1]),
    )
    call.count(20 * out.size)
    return _finish(call, x, out, size)


def _nearest(call: Call, x: torch.Tensor, size, factors, offset: float):
    """Gather by perturbed indices: only they round."""
    dtype = working(x.dtype)
    y = x
    for d, target in enumerate(size):
        source = x.shape[2 + d]
        if source == target:
            continue
        scale = _scale(call, dtype, source, target, False, factors[d])
        index = np.empty(target, np.int64)
        run_in_chunks(
            kernels.nearest_axis,
            target,
            call.plan(),
            scale,
            _numpy(dtype)(offset),
            source,
            index,
        )
        call.count(target)
        y = y.index_select(2 + d, torch.from_numpy(index))
    call.count(0)
    return y.clone() if y is x else y


def _nearest_operator(dims: int, exact: bool) -> None:
    name = f"_upsample_nearest_exact{dims}d" if exact else f"upsample_nearest{dims}d"

    @operator(f"aten.{name}.default")
    def handler(call: Call, x, size, *factors):
        factors = [*factors, *[None] * dims][:dims]
        return _nearest(call, x, list(size), factors, 0.5 if exact else 0.0)


for _dims in (1, 2, 3):
    _nearest_operator(_dims, exact=False)
    _nearest_operator(_dims, exact=True)


def _size(x: torch.Tensor, size, factors) -> list[int]:
    """Output size of the `.vec` overloads, which carry a size or scale factors."""
    if size is not None:
        return list(size)
    return [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]


def _vector_overload(name: str) -> None:
    # Composite under inference_mode; PyTorch's own Python decomposition of it makes
    # other operations than the kernel, so it is bound to the kernel's overload here.
    kernel = getattr(torch.ops.aten, name).default

    @operator(f"aten.{name}.vec")
    def handler(call: Call, x, output_size, *rest):
        *align, factors = rest
        size = _size(x, output_size, factors)
        factors = [None] * len(size) if factors is None else list(factors)
        return call.run(kernel, x, size, *align, *factors)


for _name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
    _vector_overload(_name)
_vector_overload("upsample_bicubic2d")
for _dims in (1, 2, 3):
    _vector_overload(f"upsample_nearest{_dims}d")
    _vector_overload(f"_upsample_nearest_exact{_dims}d")
