"""Sums in PyTorch's cascade order, running sums and average pooling.

The cascade (specification 5.1): 8 lanes by 4 accumulators, each with four levels that
are emptied into the next after `step`, `step`², ... terms.
"""

import numpy as np

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, div, narrow
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.streams import derived_key, element_word, step_word

LEVELS = 4
LANES = 8
PARALLEL = 4  # accumulators side by side
WIDTH = LANES * PARALLEL


@device
def level_power(groups):
    """log2 of the terms of one level."""
    bits = np.int64(0)
    while (np.int64(1) << bits) < groups:
        bits += np.int64(1)
    return max(np.int64(LEVELS), bits // np.int64(LEVELS))


@device
def _fold(levels, width, group, power, own, position, rounder):
    """Empty full levels into the next ones after `group` terms."""
    mask = (np.int64(1) << power) - np.int64(1)
    for level in range(1, LEVELS):
        for i in range(width):
            word = element_word(own, np.uint64(position + i))
            word = step_word(word, level)
            levels[level, i] = add(
                levels[level, i], levels[level - 1, i], word, 1, rounder
            )
            levels[level - 1, i] = np.float32(0)
        if (group & (mask << (np.int64(level) * power))) != 0:
            break


@device
def _cascade(x, stride, groups, width, levels, own, rounder):
    """Sum x[g·stride + i] over g into levels[0, i], as PyTorch's multi_row_sum."""
    levels[:] = np.float32(0)
    low = levels[0]
    power = level_power(groups)
    step = np.int64(1) << power
    group = np.int64(0)
    while group + step <= groups:
        for _ in range(step):
            row = x[group * stride : group * stride + width]
            base = np.uint64(group * stride)
            for i in range(np.uint64(width)):
                word = element_word(own, base + i)
                low[i] = add(low[i], row[i], word, 0, rounder)
            group += np.int64(1)
        last = (group - np.int64(1)) * stride
        _fold(levels, width, group, power, own, last, rounder)
    while group < groups:
        row = x[group * stride : group * stride + width]
        base = np.uint64(group * stride)
        for i in range(np.uint64(width)):
            word = element_word(own, base + i)
            low[i] = add(low[i], row[i], word, 0, rounder)
        group += np.int64(1)
    end = derived_key(own, 1)
    for level in range(1, LEVELS):
        for i in range(width):
            word = element_word(end, np.uint64(i))
            levels[0, i] = add(levels[0, i], levels[level, i], word, level, rounder)


@kernel
def _row_sums(x, out, start, stop, key, rounder):
    keep_apart()
    length = x.shape[1]
    vectors = length // LANES
    levels = np.empty((LEVELS, WIDTH), x.dtype)
    for r in range(start, stop):
        own = derived_key(key, r)
        rest = derived_key(own, 2)
        row = x[r]
        groups = vectors // PARALLEL
        _cascade(row, WIDTH, groups, WIDTH, levels, own, rounder)
        for v in range(groups * PARALLEL, vectors):
            for i in range(LANES):
                word = element_word(own, np.uint64(v * LANES + i))
                levels[0, i] = add(levels[0, i], row[v * LANES + i], word, 0, rounder)
        for k in range(1, PARALLEL):
            for i in range(LANES):
                word = element_word(rest, np.uint64(i))
                levels[0, i] = add(
                    levels[0, i], levels[0, k * LANES + i], word, k, rounder
                )
        total = levels[0, 0] - levels[0, 0]
        for i in range(vectors * LANES, length):
            word = element_word(own, np.uint64(i))
            total = add(total, row[i], word, 0, rounder)
        for i in range(LANES):
            total = add(total, levels[0, i], element_word(rest, i), 8, rounder)
        out[r] = total


@kernel
def row_sums(x, out, start, stop, key, rounder, direction):
    """Sum of every row of x (rows, length) in the order `torch-sum`."""
    set_rounding(direction)
    _row_sums(x, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@device
def _edge_columns(columns, inner, length, width, total, own, rounder):
    """Columns beyond a multiple of 32: four rows side by side, as PyTorch's row_sum."""
    groups = length // PARALLEL
    rows = np.empty(max(groups, 1) * PARALLEL * width, columns.dtype)
    for r in range(groups * PARALLEL):
        for i in range(width):
            rows[r * width + i] = columns[r * inner + i]
    wide = PARALLEL * width
    levels = np.empty((LEVELS, wide), columns.dtype)
    _cascade(rows, wide, groups, wide, levels, own, rounder)
    rest = derived_key(own, 2)
    for r in range(groups * PARALLEL, length):
        for i in range(width):
            word = element_word(derived_key(rest, r), i)
            value = columns[r * inner + i]
            levels[0, i] = add(levels[0, i], value, word, 0, rounder)
    for k in range(1, PARALLEL):
        for i in range(width):
            word = element_word(rest, i)
            value = levels[0, k * width + i]
            levels[0, i] = add(levels[0, i], value, word, k, rounder)
    for i in range(width):
        total[i] = levels[0, i]


@kernel
def _column_sums(x, out, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    blocks = (inner + WIDTH - 1) // WIDTH
    levels = np.empty((LEVELS, WIDTH), x.dtype)
    for item in range(start, stop):
        o, first = item // blocks, (item % blocks) * WIDTH
        width = min(WIDTH, inner - first)
        own = derived_key(key, item)
        columns = x[o].reshape(-1)[first:]
        total = out[o, first : first + width]
        if width < WIDTH:
            _edge_columns(columns, inner, length, width, total, own, rounder)
        else:
            _cascade(columns, inner, length, width, levels, own, rounder)
            for i in range(width):
                total[i] = levels[0, i]


@kernel
def column_sums(x, out, start, stop, key, rounder, direction):
    """Sum over the middle axis of x (outer, length, inner); items are column blocks."""
    set_rounding(direction)
    _column_sums(x, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _running_sums(x, out, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    for item in range(start, stop):
        o, i = item // inner, item % inner
        own = derived_key(key, item)
        total = np.float64(0)
        for k in range(length):
            word = element_word(own, k)
            total = add(total, np.float64(x[o, k, i]), word, 0, rounder)
            out[o, k, i] = narrow(total, word, 1, rounder)


@kernel
def running_sums(x, out, start, stop, key, rounder, direction):
    """Cumulative float64 sums along the middle axis, each stored in float32."""
    set_rounding(direction)
    _running_sums(x, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _running_sums64(x, out, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    for item in range(start, stop):
        o, i = item // inner, item % inner
        own = derived_key(key, item)
        total = np.float64(0)
        for k in range(length):
            total = add(total, x[o, k, i], element_word(own, k), 0, rounder)
            out[o, k, i] = total


@kernel
def running_sums64(x, out, start, stop, key, rounder, direction):
    """Cumulative float64 sums along the middle axis."""
    set_rounding(direction)
    _running_sums64(x, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _average(x, zs, ys, xs, first, second, out, start, stop, key, rounder):
    keep_apart()
    depth, height, width = out.shape[1:]
    for item in range(start, stop):
        plane, rest = item // (depth * height), item % (depth * height)
        d, h = rest // height, rest % height
        for w in range(width):
            own = element_word(key, np.uint64(item * width + w))
            total = out[plane, d, h, w]
            step = np.uint32(0)
            word = own
            for k in range(zs[0, d], zs[1, d]):
                for j in range(ys[0, h], ys[1, h]):
                    for i in range(xs[0, w], xs[1, w]):
                        total = add(total, x[plane, k, j, i], word, step, rounder)
                        step += np.uint32(1)
                        if step % np.uint32(32) == np.uint32(0):
                            word = step_word(own, step)
            word = step_word(own, np.uint32(0xFFFFFFFF))
            total = div(total, first[d, h, w], word, 0, rounder)
            out[plane, d, h, w] = div(total, second[d, h, w], word, 1, rounder)


@kernel
def average(x, zs, ys, xs, first, second, out, start, stop, key, rounder, direction):
    """Mean over windows of x (P, D, H, W); `out` arrives filled with zeros.

    Windows are [begin, end) per axis; the sum is divided by `first`, then by `second`
    (1 where one division is enough). Items are output rows.
    """
    set_rounding(direction)
    _average(x, zs, ys, xs, first, second, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _accumulate(values, targets, out, start, stop, key, rounder):
    keep_apart()
    for i in range(start, stop):
        place = targets[i]
        if place >= 0:
            word = element_word(key, i)
            out[place] = add(out[place], values[i], word, 0, rounder)


@kernel
def accumulate(values, targets, out, start, stop, key, rounder, direction):
    """out[targets[i]] += values[i] in index order, one rounding each; -1 is skipped.

    Targets may repeat, so all of it must run in one piece.
    """
    set_rounding(direction)
    _accumulate(values, targets, out, start, stop, key, rounder)
    set_rounding(NEAREST)
