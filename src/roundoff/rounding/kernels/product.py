"""The engine under matrix products and convolutions: one rounded chain per output.

Every output is out[g, m, p] += sum over k of weight[g, m, k] * x[place(p) + offset(k)].
A matrix product and a convolution differ only in their offsets and places, a summation
order only in the permutation of k and its stretches. For a panel of neighbouring places
the operands are gathered once ("im2col") into a buffer that stays in cache, and tiles
of output rows (`tile.py`) run over it.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, fma
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.rules import Rule, operand_dtype, rule_for
from roundoff.rounding.kernels.tile import STATE, row_tile, tall_tile, tile_shape
from roundoff.rounding.orders import Stretch, SummationOrder
from roundoff.rounding.plan import Plan
from roundoff.rounding.streams import derived_key, element_word, mix64
from roundoff.rounding.threads import split_range

_LONGEST = 512  # steps of k gathered at once, unless one chain from zero is longer
_RUN = 16  # neighbouring places copied as one vector


@dataclass(frozen=True)
class Places:
    """Where outputs lie: a 4-D grid, with strides in the input and in the output.

    Flat element numbers; `group_in` and `group_out` are the steps from one group to the
    next, `row_out` from one output row (channel) to the next.
    """

    grid: tuple[int, int, int, int]
    strides_in: tuple[int, int, int, int]
    strides_out: tuple[int, int, int, int]
    row_out: int
    group_in: int = 0
    group_out: int = 0

    @property
    def count(self) -> int:
        """Number of places."""
        return int(np.prod(self.grid))

    def table(self) -> np.ndarray:
        """The same numbers as an int64 array, as the kernels read them."""
        rest = (self.row_out, self.group_in, self.group_out, self.count)
        rows = (self.grid, self.strides_in, self.strides_out, rest)
        return np.array(rows, np.int64)


def _make_copy(unsigned_zero: bool):
    @intrinsic
    def copy_run(typingctx, x, x0, y, y0):
        """Copy _RUN elements of x to y, widening or narrowing; maybe -0 to +0."""

        def codegen(context, builder, signature, args):
            kinds, pointers = [], []
            for array, index in ((0, 1), (2, 3)):
                ty = signature.args[array]
                data = context.make_array(ty)(context, builder, args[array]).data
                pointers.append(builder.gep(data, [args[index]]))
                kinds.append(ir.VectorType(context.get_value_type(ty.dtype), _RUN))
            value = builder.load(builder.bitcast(pointers[0], kinds[0].as_pointer()))
            value.align = signature.args[0].dtype.bitwidth // 8
            if unsigned_zero:
                zero = ir.Constant(kinds[0], None)
                value = builder.select(
                    builder.fcmp_unordered("!=", value, zero), value, zero
                )
            if signature.args[0].dtype.bitwidth < signature.args[2].dtype.bitwidth:
                value = builder.fpext(value, kinds[1])
            elif kinds[0] != kinds[1]:
                value = builder.fptrunc(value, kinds[1])
            target = builder.bitcast(pointers[1], kinds[1].as_pointer())
            builder.store(value, target).align = signature.args[2].dtype.bitwidth // 8
            return context.get_dummy_value()

        return types.void(x, types.int64, y, types.int64), codegen

    return copy_run


_copy_run = _make_copy(unsigned_zero=False)
# An exact zero is +0 in round-to-nearest, whatever direction the steps took.
_copy_result = _make_copy(unsigned_zero=True)


@device
def _find_places(first, table, into, out_of):
    """Input and output element numbers of the places first, first + 1, ..."""
    rest = first
    w = rest % table[0, 3]
    rest //= table[0, 3]
    h = rest % table[0, 2]
    rest //= table[0, 2]
    d = rest % table[0, 1]
    n = rest // table[0, 1]
    for lane in range(into.size):
        if first + lane >= table[3, 3]:  # unused lanes repeat a valid place
            into[lane], out_of[lane] = into[0], -1
            continue
        into[lane] = (
            n * table[1, 0] + d * table[1, 1] + h * table[1, 2] + w * table[1, 3]
        )
        out_of[lane] = (
            n * table[2, 0] + d * table[2, 1] + h * table[2, 2] + w * table[2, 3]
        )
        w += 1
        if w == table[0, 3]:
            w = 0
            h += 1
            if h == table[0, 2]:
                h = 0
                d += 1
                if d == table[0, 1]:
                    d = 0
                    n += 1


@device
def _consecutive(numbers, run):
    together = numbers[run] >= 0
    for lane in range(run + 1, run + _RUN):
        together &= numbers[lane] == numbers[lane - 1] + 1
    return together


@device
def _gather(x, x0, offsets, start, stop, into, panel):
    """Fill panel[k - start, lane] = x[x0 + into[lane] + offsets[k]]."""
    lanes = into.size
    for run in range(0, lanes, _RUN):
        at = x0 + into[run]
        if _consecutive(into, run):
            for k in range(start, stop):
                _copy_run(x, at + offsets[k], panel, (k - start) * lanes + run)
            continue
        for k in range(start, stop):
            base = np.uint64(x0 + offsets[k])
            target = np.uint64((k - start) * lanes + run)
            for lane in range(np.uint64(_RUN)):
                source = base + np.uint64(into[np.uint64(run) + lane])
                panel[target + lane] = x[source]


@device
def _seed(state, key):
    for i in range(np.uint64(state.size)):
        state[i] = mix64(key + i * np.uint64(0x9E3779B97F4A7C15))


@device
def _load_sums(out, base, row_out, rows, out_of, sums):
    lanes = out_of.size
    for run in range(0, lanes, _RUN):
        together = _consecutive(out_of, run)
        for m in range(rows):
            row, target = base + m * row_out, m * lanes + run
            if together:
                _copy_run(out, row + out_of[run], sums, target)
                continue
            for lane in range(_RUN):
                place = out_of[run + lane]
                sums[target + lane] = out[row + place] if place >= 0 else 0


@device
def _store_sums(out, base, row_out, rows, out_of, sums):
    lanes = out_of.size
    for run in range(0, lanes, _RUN):
        together = _consecutive(out_of, run)
        for m in range(rows):
            row, source = base + m * row_out, m * lanes + run
            if together:
                _copy_result(sums, source, out, row + out_of[run])
                continue
            for lane in range(_RUN):
                value = sums[source + lane]
                if out_of[run + lane] >= 0:
                    out[row + out_of[run + lane]] = value if value != 0 else 0


@kernel
def _panels(
    x, offsets, table, weights, shape, stretches, out, scratch, first, last, key, rule
):
    """Compute panels first..last; `shape` is (rows, K, tall, tall blocks, lanes)."""
    keep_apart()
    panel, sums, state, into, out_of = scratch
    rows, terms, tall, blocks, lanes = shape
    panels = (table[3, 3] + lanes - 1) // lanes
    singles = max(0, rows - blocks * tall)
    group_size = (blocks * tall + singles) * terms
    for task in range(first, last):
        group = task // panels
        _find_places((task % panels) * lanes, table, into, out_of)
        base = group * table[3, 2]
        _load_sums(out, base, table[3, 0], rows, out_of, sums)
        panel_key = derived_key(key, task)
        for piece in range(stretches.shape[0]):
            start, stop, fresh = (
                stretches[piece, 0],
                stretches[piece, 1],
                stretches[piece, 2] != 0,
            )
            _gather(x, group * table[3, 1], offsets, start, stop, into, panel)
            a0 = group * group_size
            for block in range(blocks + singles):
                number = piece * (blocks + singles) + block
                _seed(state, derived_key(panel_key, number))
                if block < blocks:
                    tall_tile(
                        weights, a0 + (block * terms + start) * tall, panel, 0, sums,
                        block * tall * lanes, state, stop - start, fresh, rule,
                    )  # fmt: skip
                else:
                    row = blocks * tall + block - blocks
                    row_tile(
                        weights, a0 + row * terms + start, panel, 0, sums,
                        row * lanes, state, stop - start, fresh, rule,
                    )  # fmt: skip
        _store_sums(out, base, table[3, 0], rows, out_of, sums)


@kernel
def _run_panels(
    x, offsets, table, weights, shape, stretches, out, scratch, first, last, key, rule
):
    set_rounding(rule.direction)
    _panels(
        x, offsets, table, weights, shape, stretches, out, scratch, first, last, key,
        rule,
    )  # fmt: skip
    set_rounding(NEAREST)


@kernel
def _careful(
    x, offsets, table, weights, shape, stretches, out, first, last, key, rounder
):
    """The same sums one primitive at a time: any range of values, any rounder."""
    keep_apart()
    rows, terms = shape
    into, out_of = np.empty(1, np.int64), np.empty(1, np.int64)
    for task in range(first, last):
        group, place = task // table[3, 3], task % table[3, 3]
        _find_places(place, table, into, out_of)
        for m in range(rows):
            at = group * table[3, 2] + m * table[3, 0] + out_of[0]
            owner = derived_key(key, task * rows + m)
            total = out[at]
            for piece in range(stretches.shape[0]):
                fresh = stretches[piece, 2] != 0
                chain = out.dtype.type(0) if fresh else total
                for k in range(stretches[piece, 0], stretches[piece, 1]):
                    word = element_word(owner, k // 32)
                    value = x[group * table[3, 1] + into[0] + offsets[k]]
                    weight = weights[(group * rows + m) * terms + k]
                    chain = fma(weight, value, chain, word, k, rounder)
                last_word = element_word(owner, (1 << 40) + piece)
                total = add(total, chain, last_word, 0, rounder) if fresh else chain
            out[at] = total


@kernel
def _run_careful(
    x, offsets, table, weights, shape, stretches, out, first, last, key, rounder,
    direction,
):  # fmt: skip
    set_rounding(direction)
    _careful(
        x, offsets, table, weights, shape, stretches, out, first, last, key, rounder
    )
    set_rounding(NEAREST)


def _largest(values: np.ndarray) -> float:
    """Largest finite magnitude."""
    if values.size == 0:
        return 0.0
    largest = max(float(values.max()), -float(values.min()))
    if np.isfinite(largest):
        return largest
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _may_overflow(x: np.ndarray, weights: np.ndarray, out: np.ndarray) -> bool:
    """Whether a partial sum of finite terms could leave the range of the dtype.

    Directed rounding stops at the largest number where round-to-nearest goes to Inf;
    the vector rules are used only where that cannot happen.
    """
    terms = weights.shape[-1] * 1.001
    bound = _largest(x) * _largest(weights) * terms + _largest(out)
    return not bound < float(np.finfo(out.dtype).max) / 2


def _pieces(stretches: tuple[Stretch, ...]) -> np.ndarray:
    """Stretches as an array; chains that go on from C are cut to fit in cache."""
    rows = []
    for start, stop, fresh in stretches:
        step = max(stop - start, 1) if fresh else _LONGEST
        cuts = range(start, stop, step)
        rows += [(cut, min(cut + step, stop), int(fresh)) for cut in cuts]
    return np.array(rows, np.int64).reshape(-1, 3)


def _packed(weights: np.ndarray, tall: int, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Weights (G, M, K) in the order the tiles read them, and the tall blocks."""
    groups, rows, terms = weights.shape
    blocks, left = divmod(rows, tall)
    if left > 2:
        blocks, left = blocks + 1, 0
    high = np.zeros((groups, blocks * tall, terms), dtype)
    filled = min(rows, blocks * tall)
    high[:, :filled] = weights[:, :filled]
    high = high.reshape(groups, blocks, tall, terms).swapaxes(2, 3)
    low = weights[:, filled:].astype(dtype)
    parts = [high.reshape(groups, -1), low.reshape(groups, -1)]
    return np.concatenate(parts, axis=1).ravel(), blocks


def product(
    x: np.ndarray,
    offsets: np.ndarray,
    places: Places,
    weights: np.ndarray,
    order: SummationOrder,
    out: np.ndarray,
    plan: Plan,
) -> None:
    """Add weight (G, M, K) times gathered x to `out`, every operation rounded.

    `x` and `out` are flat contiguous arrays of one dtype (float32 or float64); `out`
    holds the start values (bias or zero). `offsets` are the K input offsets of one
    output; both they and the weights are in natural order, permuted here.
    """
    if places.count == 0 or weights.shape[1] == 0 or weights.shape[2] == 0:
        return
    offsets = offsets[order.terms]
    weights = weights[:, :, order.terms]
    pieces = _pieces(order.stretches)
    wide_dither = x.dtype == np.float64 and plan.mode == "nearness"
    if wide_dither or _may_overflow(x, weights, out):
        _product_carefully(x, offsets, places, weights, pieces, out, plan)
        return
    rule = rule_for(plan, x.dtype)
    _product_in_tiles(x, offsets, places, weights, pieces, out, plan, rule)


def _product_in_tiles(
    x: np.ndarray,
    offsets: np.ndarray,
    places: Places,
    weights: np.ndarray,
    pieces: np.ndarray,
    out: np.ndarray,
    plan: Plan,
    rule: Rule,
) -> None:
    groups, rows, terms = weights.shape
    dtype = operand_dtype(rule, x.dtype)
    tall, lanes = tile_shape(dtype)
    packed, blocks = _packed(weights, tall, dtype)
    longest = int((pieces[:, 1] - pieces[:, 0]).max())
    shape = (rows, terms, tall, blocks, lanes)
    held = max(rows, blocks * tall)

    def piece(first: int, last: int) -> None:
        scratch = (
            np.empty(longest * lanes, dtype),
            np.zeros(held * lanes, dtype),
            np.empty(STATE, np.uint64),
            np.empty(lanes, np.int64),
            np.empty(lanes, np.int64),
        )
        _run_panels(
            x, offsets, places.table(), packed, shape, pieces, out, scratch,
            first, last, np.uint64(plan.key), rule,
        )  # fmt: skip

    panels = -(-places.count // lanes)
    split_range(piece, groups * panels, plan.threads)


def _product_carefully(
    x: np.ndarray,
    offsets: np.ndarray,
    places: Places,
    weights: np.ndarray,
    pieces: np.ndarray,
    out: np.ndarray,
    plan: Plan,
) -> None:
    groups, rows, terms = weights.shape
    flat = np.ascontiguousarray(weights).ravel()

    def piece(first: int, last: int) -> None:
        _run_careful(
            x, offsets, places.table(), flat, (rows, terms), pieces, out, first, last,
            np.uint64(plan.key), plan.rounder, np.int32(plan.direction),
        )  # fmt: skip

    split_range(piece, groups * places.count, plan.threads)
