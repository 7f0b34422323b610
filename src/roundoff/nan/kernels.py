"""The compiled kernels, if this installation has them: loading and calling.

Tensors are float32 on the CPU with channels last in memory. Whoever calls keeps the
tensors alive during the call; the library knows only their addresses.
"""

import ctypes
import importlib.machinery
import warnings
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from roundoff.nan.skips import ConvShape, least_skipped_count

LIBRARY = "_skipping"
CLEAN, PACKED, SKIPPED, COPIED = range(4)
MOST_CHANNELS = 65535  # counts per pixel are 16 bits


class _ConvShape(Structure):
    _fields_ = (
        [("n", c_int64), ("in_", c_int64 * 3), ("c", c_int64)]
        + [("out", c_int64 * 3), ("o", c_int64)]
        + [(name, c_int64 * 3) for name in ("kernel", "stride", "dilation", "pad")]
        + [(n, c_int64) for n in ("least", "fill_mean", "write_nan", "threads")]
    )


class _Plan(Structure):
    _fields_ = (
        ("shape", POINTER(_ConvShape)),
        ("counts", c_void_p),
        ("same", c_void_p),
        ("kind", c_void_p),
        ("totals", c_int64 * 4),
    )


class _Conv(Structure):
    _fields_ = (
        ("shape", POINTER(_ConvShape)),
        *[
            (name, c_void_p)
            for name in (
                "x",
                "counts",
                "kind",
                "weight",
                "bias",
                "other",
                "other_counts",
                "constant",
                "classes",
                "out",
                "out_counts",
            )
        ],
    )


class _Pixels(Structure):
    _fields_ = (
        ("channels", c_int64),
        ("a", c_void_p),
        ("b", c_void_p),
        ("a_counts", c_void_p),
        ("b_counts", c_void_p),
        ("slope", c_void_p),
        ("slopes", c_int64),
        ("out", c_void_p),
        ("out_counts", c_void_p),
    )


class _Pool(Structure):
    _fields_ = (
        *[(n, c_int64 * 3) for n in ("in_", "out", "kernel", "stride")],
        *[
            (n, c_int64)
            for n in ("channels", "max_threshold", "aggressive", "constant")
        ],
        ("rtol", c_float),
        ("atol", c_float),
        *[
            (n, c_void_p)
            for n in ("x", "counts", "cells_in", "values", "cells", "out_counts")
        ],
    )


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None (with one warning) where they cannot be used."""
    folder = Path(__file__).parent
    names = [LIBRARY + suffix for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    path = next((folder / n for n in names if (folder / n).exists()), None)
    if path is None:
        return _without("was not built: install a C compiler, then reinstall roundoff")
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        return _without(f"cannot be loaded ({error})")
    if loaded.roundoff_level() == 0:
        return _without("has no code for this processor (AVX2 or AVX-512 is needed)")
    loaded.roundoff_block.restype = c_int64
    loaded.roundoff_block.argtypes = [c_int64]
    for name in ("maxout", "leaky", "scan", "define", "alike", "pool", "unpool"):
        getattr(loaded, f"roundoff_{name}").argtypes = [c_void_p, c_int64, c_int64]
    return loaded


def _without(reason: str) -> None:
    warnings.warn(
        f"the compiled part of roundoff.nan {reason}. Results are the same; NaN "
        "convolutions skip bands of rows with PyTorch, which saves less time",
        RuntimeWarning,
        stacklevel=4,
    )


def unobserved() -> bool:
    """Whether no dispatch mode listens to PyTorch's operators."""
    return torch._C._len_torch_dispatch_stack() == 0


def usable(x: Tensor) -> bool:
    """Whether the kernels can take this tensor.

    Under a dispatch mode they step aside: random rounding and whatever else listens
    would see nothing of their arithmetic.
    """
    return (
        unobserved()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and 0 < x.shape[1] <= MOST_CHANNELS
        and x.numel() > 0
        and library() is not None
    )


def channels_last(x: Tensor) -> Tensor:
    """`x` with channels last in memory; a tensor that is so already is not copied."""
    order = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    return x.contiguous(memory_format=order)


def empty(shape, like: Tensor) -> Tensor:
    """Uninitialised values with channels last in memory."""
    order = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    return torch.empty(tuple(shape), dtype=like.dtype, memory_format=order)


def empty_counts(shape) -> Tensor:
    """Uninitialised counts, one per pixel of an [N, C, ...] shape: [N, ...]."""
    return torch.empty((shape[0], *shape[2:]), dtype=torch.uint16)


def pack_weight(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight [O, C, *kernel] and bias in the order the kernels read them."""
    outputs = weight.shape[0]
    block = library().roundoff_block(outputs)
    blocks = -(-outputs // block)
    dims = weight.dim()
    flat = weight.permute(*range(2, dims), 1, 0).reshape(-1, outputs)
    packed = flat.new_zeros(flat.shape[0], blocks * block)
    packed[:, :outputs] = flat
    shift = flat.new_zeros(blocks * block)
    if bias is not None:
        shift[:outputs] = bias
    return packed.unflatten(1, (blocks, block)).transpose(0, 1).contiguous(), shift


class Plan:
    """What becomes of every output position of one convolution on one input."""

    def __init__(
        self,
        x_shape,
        shape: ConvShape,
        threshold: float,
        fill: str,
        counts: Tensor | None = None,
        same: Tensor | None = None,
    ):
        self.counts, self.out_shape = (
            counts,
            (
                x_shape[0],
                shape.out_channels,
                *shape.output(x_shape[2:]),
            ),
        )
        self._shape = _geometry(x_shape, shape, self.out_shape)
        self._shape.least = least_skipped_count(shape.window, threshold)
        self._shape.fill_mean = fill == "mean"
        spatial = (x_shape[0], *self.out_shape[2:])
        self.kind = torch.empty(spatial, dtype=torch.uint8)
        job = _Plan(
            ctypes.pointer(self._shape),
            _address(counts),
            _address(same),
            _address(self.kind),
        )
        _check(library().roundoff_plan(byref(job)))
        self.totals = tuple(job.totals)

    def share(self, *kinds: int) -> float:
        """Share of the positions that are of these kinds."""
        return sum(self.totals[k] for k in kinds) / max(1, sum(self.totals))

    def run(
        self,
        x: Tensor,
        packed: tuple[Tensor, Tensor],
        *,
        other: Tensor | None = None,
        other_counts: Tensor | None = None,
        constant: tuple[Tensor, Tensor] | None = None,
        kind: Tensor | None = None,
        out: Tensor | None = None,
        out_counts: Tensor | None = None,
        write_nan: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Convolve the active positions; returns output and its NaN per pixel.

        `other`: tensor of the output's shape whose maximum with the result is taken.
        `constant`: outputs [classes, O] of windows of nothing but background, and the
        class of each output position, int32 [*plane]. `kind`: in place of the plan's
        own. `out`, `out_counts`: written where given.
        """
        self._shape.write_nan = write_nan
        out = empty(self.out_shape, x) if out is None else out
        out_counts = empty_counts(self.out_shape) if out_counts is None else out_counts
        kind = self.kind if kind is None else kind
        tensors = (x, self.counts, kind, *packed, other, other_counts)
        constant = (None, None) if constant is None else constant
        job = _Conv(
            ctypes.pointer(self._shape),
            *[_address(t) for t in (*tensors, *constant, out, out_counts)],
        )
        _check(library().roundoff_conv(byref(job)))
        return out, out_counts


def maxout(a, a_counts, b, b_counts) -> tuple[Tensor, Tensor]:
    """Elementwise maximum that takes NaN from either side, and its NaN per pixel."""
    out, counts = empty(a.shape, a), empty_counts(a.shape)
    _pixels(
        "maxout",
        a,
        b=_address(b),
        a_counts=_address(a_counts),
        b_counts=_address(b_counts),
        out=_address(out),
        out_counts=_address(counts),
    )
    return out, counts


def leaky(a: Tensor, counts: Tensor | None, slope: Tensor) -> Tensor:
    """PReLU with one slope, or one per channel; undefined pixels stay undefined."""
    out = empty(a.shape, a)
    _pixels(
        "leaky",
        a,
        a_counts=_address(counts),
        slope=_address(slope),
        slopes=slope.numel(),
        out=_address(out),
    )
    return out


def scan(a: Tensor) -> Tensor:
    """NaN per pixel."""
    counts = empty_counts(a.shape)
    _pixels("scan", a, out_counts=_address(counts))
    return counts


def define(a: Tensor, counts: Tensor) -> None:
    """Write NaN to pixels that are undefined so far (all channels counted NaN)."""
    _pixels("define", a, a_counts=_address(counts), out=_address(a))


def alike(sample: Tensor, background: Tensor) -> Tensor:
    """Which pixels of one sample [1, C, ...] have the very bits of the background."""
    found = empty_counts(sample.shape)
    _pixels("alike", sample, b=_address(background), out_counts=_address(found))
    return found.to(torch.uint8)


def pool(x, counts, windows, rule, aggressive: bool):
    """Values, cells that unpooling writes (uint8) and NaN per pixel of a pooling."""
    out = (*x.shape[:2], *windows.grid)
    values, out_counts = empty(out, x), empty_counts(out)
    cells = empty(out, torch.empty(0, dtype=torch.uint8))
    job = _Pool(
        _three(x.shape[2:]),
        _three(windows.grid),
        _three(windows.kernel),
        _three(windows.stride),
        x.shape[1],
        rule.max_threshold,
        aggressive,
        rule.criterion == "constant",
        rule.relative(x.dtype),
        rule.atol,
        _address(x),
        _address(counts),
        None,
        _address(values),
        _address(cells),
        _address(out_counts),
    )
    function = library().roundoff_pool
    _check(function(byref(job), x.shape[0], torch.get_num_threads()))
    return values, cells, out_counts


def unpool(x, counts, cells, kernel, size):
    """Unpooled values and NaN per pixel; windows that do not overlap."""
    out = (*x.shape[:2], *size)
    values, out_counts = empty(out, x), empty_counts(out)
    job = _Pool(
        _three(x.shape[2:]), _three(size), _three(kernel), _three(kernel), x.shape[1]
    )
    job.x, job.counts, job.cells_in = _address(x), _address(counts), _address(cells)
    job.values, job.out_counts = _address(values), _address(out_counts)
    function = library().roundoff_unpool
    _check(function(byref(job), x.shape[0], torch.get_num_threads()))
    return values, out_counts


def _pixels(name: str, a: Tensor, **fields) -> None:
    job = _Pixels(channels=a.shape[1], a=_address(a), **fields)
    pixels = a.numel() // a.shape[1]
    function = getattr(library(), f"roundoff_{name}")
    _check(function(byref(job), pixels, torch.get_num_threads()))


def _check(status: int) -> None:
    if status:
        raise MemoryError("not enough memory for the work space of a convolution")


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _three(values, missing: int = 1):
    """Sizes of three axes; two-dimensional data has depth 1 (padding 0)."""
    values = tuple(values)
    return (c_int64 * 3)(*((missing,) * (3 - len(values)) + values))


def _geometry(x_shape, shape: ConvShape, out_shape) -> _ConvShape:
    made = _ConvShape(n=x_shape[0], c=x_shape[1], o=out_shape[1])
    made.in_, made.out = _three(x_shape[2:]), _three(out_shape[2:])
    made.kernel, made.stride = _three(shape.kernel), _three(shape.stride)
    made.dilation, made.pad = _three(shape.dilation), _three(shape.before, 0)
    made.threads = torch.get_num_threads()
    return made
