"""Softmax along an axis of (outer, length, inner) arrays, float32."""

import numpy as np

from roundoff.rounding.compilation import keep_apart, kernel
from roundoff.rounding.elementary import add, div, mul, sub
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.math import exp32
from roundoff.rounding.streams import derived_key, element_word

BLOCK = 64  # columns worked on together


@kernel
def _exponentials(x, out, largest, sums, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    blocks = (inner + BLOCK - 1) // BLOCK
    for item in range(start, stop):
        o, first = item // blocks, (item % blocks) * BLOCK
        width = min(BLOCK, inner - first)
        top = largest[o, first : first + width]
        total = sums[o, first : first + width]
        for i in range(width):
            top[i] = x[o, 0, first + i]
            total[i] = np.float32(0)
        for k in range(1, length):
            row = x[o, k, first : first + width]
            for i in range(width):
                top[i] = row[i] if row[i] > top[i] or row[i] != row[i] else top[i]
        for k in range(length):
            row = x[o, k, first : first + width]
            target = out[o, k, first : first + width]
            base = np.uint64((o * length + k) * inner + first)
            for i in range(width):
                word = element_word(key, base + np.uint64(i))
                d = sub(row[i], top[i], word, 0, rounder)
                e = exp32(d, word, 1, rounder)
                target[i] = e
                total[i] = add(total[i], e, word, 13, rounder)


@kernel
def exponentials(x, out, largest, sums, start, stop, key, rounder, direction):
    """out = exp(x - max) and its sums along the axis; items are blocks of columns.

    Per element 1 sub, 1 exp, 1 add, in index order.
    """
    set_rounding(direction)
    _exponentials(x, out, largest, sums, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _exponential_rows(x, out, largest, sums, start, stop, key, rounder):
    keep_apart()
    length = x.shape[1]
    vectors = length // 8
    for row in range(start, stop):
        source, target = x[row], out[row]
        top = source[0]
        for i in range(1, length):
            top = source[i] if source[i] > top or source[i] != source[i] else top
        base = np.uint64(row * length)
        for i in range(length):
            word = element_word(key, base + np.uint64(i))
            target[i] = exp32(sub(source[i], top, word, 0, rounder), word, 1, rounder)
        lanes = sums[row]
        for lane in range(8):
            lanes[lane] = target[lane] if lane < length else np.float32(0)
        for v in range(1, vectors):
            for lane in range(8):
                i = v * 8 + lane
                word = element_word(key, base + np.uint64(i))
                lanes[lane] = add(lanes[lane], target[i], word, 13, rounder)
        for i in range(max(vectors, 1) * 8, length):
            word = element_word(key, base + np.uint64(i))
            lanes[i % 8] = add(lanes[i % 8], target[i], word, 13, rounder)
        word = element_word(derived_key(key, 1), row)
        for lane in range(4):
            lanes[lane] = add(lanes[lane], lanes[lane + 4], word, lane, rounder)
        for lane in range(2):
            lanes[lane] = add(lanes[lane], lanes[lane + 2], word, 4 + lane, rounder)
        lanes[0] = add(lanes[0], lanes[1], word, 6, rounder)
        largest[row] = top


@kernel
def exponential_rows(x, out, largest, sums, start, stop, key, rounder, direction):
    """As `exponentials` along the last axis: the sum runs in 8 lanes, then halves.

    `sums` is (rows, 8); the total is in its first column.
    """
    set_rounding(direction)
    _exponential_rows(x, out, largest, sums, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _divide(x, sums, out, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    for item in range(start, stop):
        o = item // length
        row, target = x[o, item % length], out[o, item % length]
        base = np.uint64(item * inner)
        total = sums[o]
        for i in range(inner):
            word = element_word(key, base + np.uint64(i))
            target[i] = div(row[i], total[i], word, 0, rounder)


@kernel
def divide(x, sums, out, start, stop, key, rounder, direction):
    """out = x / sums, column by column; items are (outer, length) rows."""
    set_rounding(direction)
    _divide(x, sums, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _scale_rows(x, sums, one, out, start, stop, key, rounder):
    keep_apart()
    length = x.shape[1]
    for row in range(start, stop):
        word = element_word(derived_key(key, 1), row)
        factor = div(one, sums[row, 0], word, 0, rounder)
        source, target = x[row], out[row]
        base = np.uint64(row * length)
        for i in range(length):
            word = element_word(key, base + np.uint64(i))
            target[i] = mul(source[i], factor, word, 0, rounder)


@kernel
def scale_rows(x, sums, one, out, start, stop, key, rounder, direction):
    """out = x·(1 / sum) along rows."""
    set_rounding(direction)
    _scale_rows(x, sums, one, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _subtract_twice(x, first, second, out, start, stop, key, rounder):
    keep_apart()
    _, length, inner = x.shape
    for item in range(start, stop):
        o = item // length
        row, target = x[o, item % length], out[o, item % length]
        base = np.uint64(item * inner)
        for i in range(inner):
            word = element_word(key, base + np.uint64(i))
            part = sub(row[i], first[o, i], word, 0, rounder)
            target[i] = sub(part, second[o, i], word, 1, rounder)


@kernel
def subtract_twice(x, first, second, out, start, stop, key, rounder, direction):
    """out = (x - first) - second, column by column."""
    set_rounding(direction)
    _subtract_twice(x, first, second, out, start, stop, key, rounder)
    set_rounding(NEAREST)
