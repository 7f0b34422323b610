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
    order: str, input_shape: Sequence[int], kernel: Sequence[int], groups: int
) -> str:
    """Return `onednn-avx2`, `onednn-avx512`, `mkl` or `sequential` for one convolution.

    `input_shape` is (N, C, *spatial), `kernel` the spatial kernel sizes.
    """
    order = _resolved(order)
    if not order.startswith("onednn"):
        return order
    if all(size == 1 for size in kernel):
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
    edges = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return tuple(Stretch(start, stop, fresh) for start, stop in pairs)


@cache
def matmul_order(order: str, terms: int) -> SummationOrder:
    """Order of a matrix product (mm, bmm, linear) over `terms` products."""
    if _resolved(order) == "sequential":
        stretches = _consecutive([terms], False)
        return SummationOrder("sequential", np.arange(terms), stretches)
    lengths = mkl_blocks(terms, mkl_block(_instruction_order(order)))
    return SummationOrder("mkl", np.arange(terms), _consecutive(lengths, True))


def _instruction_order(order: str) -> str:
    """`mkl_block` asks which MKL kernels run: natively, not what oneDNN is capped to."""
    return "native" if order == "native" else order


@cache
def convolution_order(
    order: str,
    input_shape: tuple[int, ...],
    kernel: tuple[int, ...],
    groups: int,
) -> SummationOrder:
    """Order of one output of a convolution over (channel, *kernel) products."""
    library = convolution_library(order, input_shape, kernel, groups)
    channels, taps = input_shape[1] // groups, prod(kernel)
    if library == "mkl":
        return matmul_order("native" if order == "native" else order, channels * taps)
    if library == "sequential":
        return matmul_order("sequential", channels * taps)
    block = 8 if library == "onednn-avx2" else 16
    index = np.arange(channels * taps).reshape(channels, taps)
    parts = [index[c : c + block].T.ravel() for c in range(0, channels, block)]
    terms = np.concatenate(parts)
    if library == "onednn-avx2":
        return SummationOrder(library, terms, _consecutive([terms.size], False))
    lengths = [part.size for part in parts]
    return SummationOrder(library, terms, _consecutive(lengths, True))


class DotOrder(NamedTuple):
    """Order of torch.dot: vectors of `lanes` into `accumulators`, then a tree.

    `tree` lists pairs (into, of) of accumulators; `adjacent` adds neighbouring lanes
    first, else halves; `fused` uses FMA instead of multiply, then add.
    """

    lanes: int
    accumulators: int
    fused: bool
    tree: tuple[tuple[int, int], ...]
    adjacent: bool


@cache
def dot_order(order: str, itemsize: int = 4) -> DotOrder:
    """Return the order of a dot product; float64 halves the lanes (not verified)."""
    order = _resolved(order)
    if order == "sequential":
        return DotOrder(1, 1, True, (), False)
    if order == "onednn-avx2" or _vendor() != "amd":
        return DotOrder(32 // itemsize, 4, True, ((0, 1), (2, 3), (0, 2)), True)
    return DotOrder(16 // itemsize, 4, False, ((0, 1), (0, 2), (0, 3)), False)
