"""Average pooling; maximum pooling and unpooling only pass values on."""

from typing import Any

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import reduction as kernels
from roundoff.rounding.ops.layout import working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.threads import run_in_chunks

Window = tuple[np.ndarray, np.ndarray]  # [begin, end) per output index; padded length


def _spread(value: Any, dims: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * dims if len(values) == 1 else values


def _windows(size: int, kernel: int, stride: int, pad: int, ceil: bool) -> Window:
    """Windows of one pooled axis, and their length with the padding counted."""
    span = size + 2 * pad - kernel
    count = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (count - 1) * stride >= size + pad:
        count -= 1
    begin = np.arange(count) * stride - pad
    end = np.minimum(begin + kernel, size + pad)
    inside = np.stack([np.maximum(begin, 0), np.minimum(end, size)])
    return inside, end - begin


def _average(call: Call, x: torch.Tensor, axes: list[Window], first, second):
    """Run the kernel on (N, C, ...) or (C, ...) with up to three pooled axes."""
    dims = len(axes)
    value = x.detach().to(working(x.dtype)).contiguous()
    lead = value.shape[: value.dim() - dims]
    ones = [1] * (3 - dims)
    planes = value.numpy().reshape(-1, *ones, *value.shape[len(lead) :])
    unit = np.array([[0], [1]])
    edges = [unit] * (3 - dims) + [inside for inside, _ in axes]
    shape = [edge.shape[1] for edge in edges]
    out = np.zeros((planes.shape[0], *shape), planes.dtype)
    kind = planes.dtype
    divisors = [
        np.ascontiguousarray(np.broadcast_to(d, shape), kind) for d in (first, second)
    ]
    rows = planes.shape[0] * shape[0] * shape[1]
    if out.size:
        run_in_chunks(
            kernels.average,
            rows,
            call.plan(),
            planes,
            *edges,
            *divisors,
            out,
            smallest=max(1, 4096 // shape[2]),
        )
    taps = int(np.prod([(e[1] - e[0]).sum() for e in edges]))
    call.count(planes.shape[0] * taps + out.size)
    y = torch.from_numpy(out).reshape(*lead, *shape[3 - dims :])
    return narrowed(call, y, x.dtype)


def _outer(lengths: list[np.ndarray]) -> np.ndarray:
    lengths = [np.ones(1, np.int64)] * (3 - len(lengths)) + lengths
    return lengths[0][:, None, None] * lengths[1][:, None] * lengths[2]


def average_pool(
    call: Call,
    x: torch.Tensor,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor:
    """Sum of the taps in index order, then one division."""
    dims = {"avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3}[
        call.func.overloadpacket.__name__
    ]
    axes, divisor = pooled_windows(
        x, dims, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    return _average(call, x, axes, divisor, np.ones_like(divisor))


def pooled_windows(
    x: torch.Tensor,
    dims: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> tuple[list[Window], np.ndarray]:
    """Windows of each pooled axis, and the divisor of each output (3-D)."""
    kernel, padding = _spread(kernel, dims), _spread(padding, dims)
    stride = _spread(stride, dims) if stride not in ((), [], None) else kernel
    axes = [
        _windows(x.shape[d - dims], kernel[d], stride[d], padding[d], ceil_mode)
        for d in range(dims)
    ]
    inside = _outer([edge[1] - edge[0] for edge, _ in axes])
    padded = _outer([length for _, length in axes])
    divisor = padded if count_include_pad else inside
    if divisor_override:
        divisor = np.full_like(divisor, divisor_override)
    return axes, divisor


operator(
    "aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default"
)(average_pool)


@operator("aten._adaptive_avg_pool2d.default", "aten._adaptive_avg_pool3d.default")
def adaptive_average_pool(call: Call, x: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Mean over windows that share the axis evenly: two divisions."""
    return _average(call, x, *adaptive_windows(x, size))


def adaptive_windows(
    x: torch.Tensor, size: Any
) -> tuple[list[Window], np.ndarray, np.ndarray]:
    """Windows per axis, the divisor of all axes but the last, and of the last."""
    dims = len(size)
    axes = []
    for d in range(dims):
        n, m = x.shape[d - dims], size[d]
        i = np.arange(m)
        axes.append((np.stack([i * n // m, -(-(i + 1) * n // m)]), np.ones(m)))
    lengths = [edge[1] - edge[0] for edge, _ in axes]
    first = _outer([*lengths[:-1], np.ones_like(lengths[-1])])
    last = _outer([*[np.ones_like(n) for n in lengths[:-1]], lengths[-1]])
    return axes, first, last
