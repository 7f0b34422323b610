"""Batch, instance, group and layer normalisation with every rounding perturbed."""

import numpy as np

from roundoff.rounding.compilation import keep_apart, kernel
from roundoff.rounding.elementary import add, div, fma, mul, narrow, sqrt, sub
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.streams import derived_key, element_word

LANES = 8  # floats of an AVX2 vector
CHUNK = 16  # vectors between two merges of running moments


@kernel
def _linear_terms(invstd, mean, weight, bias, scale, shift, start, stop, key, rounder):
    keep_apart()
    for c in range(start, stop):
        word = element_word(key, c)
        scale[c] = mul(invstd[c], weight[c], word, 0, rounder)
        shift[c] = fma(-mean[c], scale[c], bias[c], word, 1, rounder)


@kernel
def linear_terms(
    invstd, mean, weight, bias, scale, shift, start, stop, key, rounder, direction
):
    """scale = w / std and shift = b - mean·scale per channel: 1 mul, 1 fma."""
    set_rounding(direction)
    _linear_terms(invstd, mean, weight, bias, scale, shift, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _inverse_std(variance, eps, one, out, start, stop, key, rounder):
    keep_apart()
    for c in range(start, stop):
        word = element_word(key, c)
        root = sqrt(add(variance[c], eps, word, 0, rounder), word, 1, rounder)
        out[c] = div(one, root, word, 2, rounder)


@kernel
def inverse_std(variance, eps, one, out, start, stop, key, rounder, direction):
    """1 / sqrt(variance + eps) per channel: 1 add, 1 root, 1 div."""
    set_rounding(direction)
    _inverse_std(variance, eps, one, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _channel_moments(x, mean, square, start, stop, key, rounder):
    keep_apart()
    batch, _, inner = x.shape
    count = np.float64(batch * inner)
    for c in range(start, stop):
        own = derived_key(key, c)
        total = np.float64(0)
        for n in range(batch):
            for i in range(inner):
                word = element_word(own, n * inner + i)
                total = add(total, np.float64(x[n, c, i]), word, 0, rounder)
        last = element_word(own, batch * inner)
        centre = narrow(div(total, count, last, 0, rounder), last, 1, rounder)
        total = np.float64(0)
        for n in range(batch):
            for i in range(inner):
                word = element_word(own, n * inner + i)
                distance = sub(x[n, c, i], centre, word, 1, rounder)
                term = np.float64(mul(distance, distance, word, 2, rounder))
                total = add(total, term, word, 3, rounder)
        mean[c] = centre
        square[c] = total


@kernel
def channel_moments(x, mean, square, start, stop, key, rounder, direction):
    """Mean and sum of squared distances per channel of x (batch, channels, inner).

    Sums in float64, distances and squares in x's type, as PyTorch's batch norm does:
    2 float64 add, 1 sub and 1 mul per element.
    """
    set_rounding(direction)
    _channel_moments(x, mean, square, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _inverse_std64(square, count, eps, out, start, stop, key, rounder):
    keep_apart()
    for c in range(start, stop):
        word = element_word(key, c)
        variance = div(square[c], np.float64(count), word, 0, rounder)
        root = sqrt(add(variance, eps, word, 1, rounder), word, 2, rounder)
        out[c] = narrow(div(np.float64(1), root, word, 3, rounder), word, 4, rounder)


@kernel
def inverse_std64(square, count, eps, out, start, stop, key, rounder, direction):
    """1 / sqrt(square / count + eps) in float64, then narrowed: per channel."""
    set_rounding(direction)
    _inverse_std64(square, count, eps, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _group_moments(x, one, mean, square, start, stop, key, rounder):
    keep_apart()
    length = x.shape[1]
    for row in range(start, stop):
        own = derived_key(key, row)
        centre = x[row, 0]
        total = centre - centre
        # running (Welford) update: what the vector kernel does in each of its lanes
        for i in range(1, length):
            word = element_word(own, i)
            delta = sub(x[row, i], centre, word, 0, rounder)
            share = div(one, one * np.float32(i + 1), word, 1, rounder)
            centre = fma(delta, share, centre, word, 2, rounder)
            rest = sub(x[row, i], centre, word, 3, rounder)
            total = fma(delta, rest, total, word, 4, rounder)
        mean[row] = centre
        square[row] = total


@kernel
def group_moments(x, one, mean, square, start, stop, key, rounder, direction):
    """Running mean and sum of squared distances of each row of x (rows, length)."""
    set_rounding(direction)
    _group_moments(x, one, mean, square, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _normalise_rows(x, mean, rstd, weight, bias, out, start, stop, key, rounder):
    keep_apart()
    length = x.shape[1]
    for row in range(start, stop):
        for i in range(length):
            word = element_word(key, row * length + i)
            y = sub(x[row, i], mean[row], word, 0, rounder)
            y = mul(y, rstd[row], word, 1, rounder)
            out[row, i] = fma(y, weight[i], bias[i], word, 2, rounder)


@kernel
def normalise_rows(
    x, mean, rstd, weight, bias, out, start, stop, key, rounder, direction
):
    """((x - mean)·rstd)·weight + bias along rows: 1 sub, 1 mul, 1 fma per element."""
    set_rounding(direction)
    _normalise_rows(x, mean, rstd, weight, bias, out, start, stop, key, rounder)
    set_rounding(NEAREST)
