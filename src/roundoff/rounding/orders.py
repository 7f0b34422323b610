"""Summation orders: in which sequence torch's libraries add the terms of a product.

Random rounding measures a program; a sum in another order is another program (up to one
bit apart). The orders below reproduce torch 2.13 bit for bit in mode `nearest`
(specification, section 5). Names accepted by `Plan.order`:

* `native`: what torch does on this machine with one thread;
* `verrou` = `onednn-avx2`: what torch does under Valgrind, which knows no AVX-512;
* `onednn-avx512`: torch's routing with the AVX-512 kernels;
* `mkl`: every product as MKL's matrix product (im2col for convolutions);
* `sequential`: index order, one accumulator.

Routing never depends on the number of threads: it is that of one thread.
"""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from roundoff.rounding.kernels.rules import has_avx512

_ONEDNN_SIZE = 20480  # torch sends smaller convolutions to im2col + MKL


class Stretch(NamedTuple):
    """Terms [start, stop) of a sum: one chain, from zero if `fresh` and then added."""

    start: int
    stop: int
    fresh: bool


class SummationOrder(NamedTuple):
    """Order of the K terms of each output: a permutation and its stretches."""

    name: str
    terms: np.ndarray
    stretches: tuple[Stretch, ...]


@cache
def _vendor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    return "amd" if "AuthenticAMD" in text else "other"


@cache
def native_instruction_set() -> str:
    """Instruction set of torch's kernels here: `avx512` or `avx2`."""
    import torch

    capable = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return "avx512" if capable and has_avx512() else "avx2"


def _resolved(order: str) -> str:
    if order == "native":
        return f"onednn-{native_instruction_set()}"
    return "onednn-avx2" if order == "verrou" else order


def convolution_library(
    order: str,
    input_shape: Sequence[int],
    kernel: Sequence[int],
    groups: int,
    strided: bool = False,
) -> str:
    """Return `onednn-avx2`, `onednn-avx512`, `mkl` or `sequential` for one convolution.

    `input_shape` is (N, C, *spatial), `kernel` the spatial kernel sizes, `strided`
    whether any stride or dilation is above 1.
    """
    order = _resolved(order)
    if not order.startswith("onednn"):
        return order
    if all(size == 1 for size in kernel) and not strided:
        return "mkl"
    large = prod(input_shape[:4]) > _ONEDNN_SIZE
    wide = len(kernel) >= 2 and all(size > 3 for size in kernel[-2:])
    return order if large or input_shape[0] > 1 or groups > 1 or wide else "mkl"


def mkl_block(order: str) -> int:
    """Length of the blocks of K in MKL's sgemm: 192 on AMD natively, 256 elsewhere."""
    if order in ("verrou", "onednn-avx2"):
        return 256
    return 192 if _vendor() == "amd" else 256


def mkl_blocks(terms: int, block: int) -> list[int]:
    """Lengths of MKL's blocks of K: equal cuts, the rest as described in the spec."""
    if terms <= block:
        return [terms]
    if block == 192:
        if terms < 2 * block:
            return [-(-terms // 2), terms // 2]
        rest = terms % block
        return [block] * (terms // block) + ([rest] if rest else [])
    count = max(0, (terms - block) // block) if terms >= 2 * block else 0
    rest = terms - count * block
    if rest > block:
        return [block] * count + [-(-rest // 2), rest // 2]
    return [block] * count + ([rest] if rest else [])


def _consecutive(lengths: Sequence[int], fresh: bool) -> tuple[Stretch, ...]:
    edges = accumulate(lengths, initial=0)
    return tuple(Stretch(start, stop, fresh) for start, stop in pairwise(edges))


def _joined(
    name: str, parts: Sequence[np.ndarray], *, chain: bool = False
) -> SummationOrder:
    """Order of these parts: one chain, or each a chain from zero, added in turn."""
    lengths = [part.size for part in parts if part.size]
    terms = np.concatenate([part.ravel() for part in parts])
    stretches = [sum(lengths)] if chain else lengths
    return SummationOrder(name, terms, _consecutive(stretches, not chain))


@cache
def matmul_order(order: str, terms: int, rows: int = 0) -> SummationOrder:
    """Order of a matrix product (mm, bmm, linear) over `terms` products.

    `rows` is the number of rows of the left matrix: under Valgrind MKL sums a single
    row in one chain. Natively products of fewer than 5 rows or 16 columns go through
    other MKL kernels, whose order is not known; the same blocks are assumed.
    """
    index = np.arange(terms)
    if _resolved(order) == "sequential":
        return _joined("sequential", [index], chain=True)
    if rows == 1 and order in ("verrou", "onednn-avx2"):
        return _joined("mkl", [index])
    lengths = mkl_blocks(terms, mkl_block(order))
    return _joined("mkl", np.split(index, np.cumsum(lengths)[:-1]))


@cache
def convolution_order(
    order: str,
    input_shape: tuple[int, ...],
    kernel: tuple[int, ...],
    groups: int,
    rows: int = 0,
    strided: bool = False,
) -> SummationOrder:
    """Order of one output of a convolution over (channel, *kernel) products.

    `rows` is the number of output channels of a group, `strided` whether any stride or
    dilation is above 1 (both matter to few shapes: depthwise, 1x1, one channel out).
    """
    library = convolution_library(order, input_shape, kernel, groups, strided)
    channels, taps = input_shape[1] // groups, prod(kernel)
    if library in ("mkl", "sequential"):
        wanted = order if library == "mkl" else library
        return matmul_order(wanted, channels * taps, rows)
    index = np.arange(channels * taps).reshape(channels, taps)
    depthwise = groups > 1 and channels == rows == 1
    if taps == 1 or depthwise or library == "onednn-avx2":
        parts = [index[c : c + 8].T for c in range(0, channels, 8)]
        return _joined(library, parts, chain=True)
    return _joined(library, [index[c : c + 16].T for c in range(0, channels, 16)])


def transposed_order(
    library: str, channels: int, taps: Sequence[int], strided: bool, by_column: bool
) -> SummationOrder:
    """Order of oneDNN's transposed convolution; the bias comes last, by itself.

    `taps` are the numbers of kernel taps (d, h, w) that meet one output. Unit stride:
    blocks of channels, each from zero over (taps, channel). Strided: one chain over
    (taps, channel), or, `by_column`, a chain from zero for each tap of the last
    dimension; that is the case where the last output size is a multiple of the stride
    and at least the input size times the stride.
    """
    index = np.arange(channels * prod(taps)).reshape(channels, *taps)
    if strided and by_column:
        parts = [index[..., w].reshape(channels, -1).T for w in range(taps[-1])]
    elif strided:
        parts = [index.reshape(channels, -1).T]
    else:
        block = 8 if library == "onednn-avx2" else 16
        flat = index.reshape(channels, -1)
        parts = [flat[c : c + block].T for c in range(0, channels, block)]
    return _joined(library, parts)


class DotOrder(NamedTuple):
    """Order of torch.dot: vectors of `lanes` into `accumulators`, then a tree.

    The vectors after the last full round go to the accumulators `leftover`, the last
    scalars to accumulator 0: to lane 0 one by one, or (`masked`) to a lane each. `tree`
    lists pairs (into, of) of accumulators; `adjacent` adds neighbouring lanes first,
    else halves; `fused` uses FMA instead of multiply, then add. Measured for vectors
    that start at multiples of 16 bytes.
    """

    lanes: int
    accumulators: int
    fused: bool
    tree: tuple[tuple[int, int], ...]
    adjacent: bool
    leftover: tuple[int, int, int] = (0, 1, 2)
    masked: bool = True


@cache
def dot_order(order: str, itemsize: int = 4) -> DotOrder:
    """Return the order of a dot product; float64 halves the lanes (not verified)."""
    order = _resolved(order)
    if order == "sequential":
        return DotOrder(1, 1, True, (), False)
    if order == "onednn-avx2" or _vendor() != "amd":
        return DotOrder(32 // itemsize, 4, True, ((0, 1), (2, 3), (0, 2)), True)
    tree = ((0, 1), (0, 2), (0, 3))
    return DotOrder(16 // itemsize, 4, False, tree, False, (0, 1, 0), False)
