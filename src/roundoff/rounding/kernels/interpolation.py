"""Linear, bilinear, trilinear and bicubic resampling: coordinates, weights, blend.

Coordinates and weights are computed once per output index of an axis and shared by
all rows, columns and channels, as PyTorch does: their noise is correlated along rows.
"""

import numpy as np

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, fma, mul, sub
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.math import floor_of
from roundoff.rounding.streams import element_word


@device
def source(scale, i, half, align, clip, word, rounder):
    """Input coordinate of output index i: scale·i, or scale·(i + ½) - ½."""
    index = scale - scale + np.float32(i)
    if align:
        return mul(scale, index, word, 0, rounder)
    x = fma(scale, add(index, half, word, 0, rounder), -half, word, 1, rounder)
    return max(x, x - x) if clip else x


@kernel
def _linear_axis(
    scale, half, align, size, low, high, weights, start, stop, key, rounder
):
    keep_apart()
    one = half + half
    for i in range(start, stop):
        word = element_word(key, i)
        x = source(scale, i, half, align, True, word, rounder)
        cell = min(np.int64(floor_of(x)), size - 1)
        fraction = sub(x, one * np.float32(cell), word, 2, rounder)
        fraction = min(max(fraction, one - one), one)
        low[i] = cell
        high[i] = min(cell + 1, size - 1)
        weights[0, i] = sub(one, fraction, word, 3, rounder)
        weights[1, i] = fraction


@kernel
def linear_axis(
    scale, half, align, size, low, high, weights, start, stop, key, rounder, direction
):
    """Indices and weights of one axis: 1 add, 1 fma, 2 sub per output index."""
    set_rounding(direction)
    _linear_axis(
        scale, half, align, size, low, high, weights, start, stop, key, rounder
    )
    set_rounding(NEAREST)


@device
def _near(x, a, one, word, step, rounder):
    # ((a + 2)·x - (a + 3))·x·x + 1
    first = fma(a + one + one, x, -(a + one + one + one), word, step, rounder)
    square = mul(first, x, word, step + 1, rounder)
    return fma(square, x, one, word, step + 2, rounder)


@device
def _far(x, a, word, step, rounder):
    # ((a·x - 5a)·x + 8a)·x - 4a
    y = fma(a, x, np.float32(-5) * a, word, step, rounder)
    y = fma(y, x, np.float32(8) * a, word, step + 1, rounder)
    return fma(y, x, np.float32(-4) * a, word, step + 2, rounder)


@kernel
def _cubic_axis(scale, half, a, align, size, index, weights, start, stop, key, rounder):
    keep_apart()
    one = half + half
    for i in range(start, stop):
        word = element_word(key, i)
        x = source(scale, i, half, align, False, word, rounder)
        cell = np.int64(floor_of(x))
        t = sub(x, one * np.float32(cell), word, 2, rounder)
        t = min(max(t, one - one), one)
        rest = sub(one, t, word, 3, rounder)
        weights[0, i] = _far(add(t, one, word, 4, rounder), a, word, 6, rounder)
        weights[1, i] = _near(t, a, one, word, 9, rounder)
        weights[2, i] = _near(rest, a, one, word, 12, rounder)
        weights[3, i] = _far(add(rest, one, word, 5, rounder), a, word, 15, rounder)
        for k in range(4):
            index[k, i] = min(max(cell - 1 + k, 0), size - 1)


@kernel
def cubic_axis(
    scale, half, a, align, size, index, weights, start, stop, key, rounder, direction
):
    """Indices and cubic convolution weights (Keys 1981, a = -3/4) of one axis."""
    set_rounding(direction)
    _cubic_axis(scale, half, a, align, size, index, weights, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _nearest_axis(scale, offset, size, index, start, stop, key, rounder):
    keep_apart()
    for i in range(start, stop):
        word = element_word(key, i)
        position = add(scale - scale + np.float32(i), offset, word, 0, rounder)
        x = mul(position, scale, word, 1, rounder)
        index[i] = min(np.int64(floor_of(x)), size - 1)


@kernel
def nearest_axis(scale, offset, size, index, start, stop, key, rounder, direction):
    """Index of one axis, floor((i + offset)·scale): 1 mul per output index."""
    set_rounding(direction)
    _nearest_axis(scale, offset, size, index, start, stop, key, rounder)
    set_rounding(NEAREST)


@device
def _square(top, bottom, x0, x1, w0, w1, upper, lower, word, step, rounder):
    # the compiled torch code rounds the last product first: fma(t0, w0, t1·w1)
    a = mul(top[x1], w1, word, step, rounder)
    a = fma(top[x0], w0, a, word, step + 1, rounder)
    b = mul(bottom[x1], w1, word, step + 2, rounder)
    b = fma(bottom[x0], w0, b, word, step + 3, rounder)
    b = mul(b, lower, word, step + 4, rounder)
    return fma(a, upper, b, word, step + 5, rounder)


@kernel
def _blend2(x, y0, y1, wy, x0, x1, wx, out, start, stop, key, rounder):
    keep_apart()
    height, width = out.shape[1:]
    for item in range(start, stop):
        plane, row = item // height, item % height
        top, bottom = x[plane, y0[row]], x[plane, y1[row]]
        upper, lower = wy[0, row], wy[1, row]
        target = out[plane, row]
        base = np.uint64(item * width)
        for j in range(np.uint64(width)):
            word = element_word(key, base + j)
            target[j] = _square(
                top,
                bottom,
                x0[j],
                x1[j],
                wx[0, j],
                wx[1, j],
                upper,
                lower,
                word,
                0,
                rounder,
            )


@kernel
def blend2(x, y0, y1, wy, x0, x1, wx, out, start, stop, key, rounder, direction):
    """Bilinear blend of planes (P, H, W): 3 mul, 3 fma per output; items are rows."""
    set_rounding(direction)
    _blend2(x, y0, y1, wy, x0, x1, wx, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _blend1(x, x0, x1, wx, out, start, stop, key, rounder):
    keep_apart()
    width = out.shape[1]
    for row in range(start, stop):
        source_row, target = x[row], out[row]
        base = np.uint64(row * width)
        for j in range(np.uint64(width)):
            word = element_word(key, base + j)
            a = mul(source_row[x1[j]], wx[1, j], word, 0, rounder)
            target[j] = fma(source_row[x0[j]], wx[0, j], a, word, 1, rounder)


@kernel
def blend1(x, x0, x1, wx, out, start, stop, key, rounder, direction):
    """Linear blend of rows (P, W): 1 mul, 1 fma per output."""
    set_rounding(direction)
    _blend1(x, x0, x1, wx, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _blend3(x, z, wz, y, wy, xs, wx, out, start, stop, key, rounder):
    keep_apart()
    depth, height, width = out.shape[1:]
    for item in range(start, stop):
        plane, rest = item // (depth * height), item % (depth * height)
        d, row = rest // height, rest % height
        front, back = x[plane, z[0, d]], x[plane, z[1, d]]
        f0, f1 = front[y[0, row]], front[y[1, row]]
        b0, b1 = back[y[0, row]], back[y[1, row]]
        upper, lower = wy[0, row], wy[1, row]
        target = out[plane, d, row]
        base = np.uint64(item * width)
        for j in range(np.uint64(width)):
            word = element_word(key, base + j)
            i0, i1, w0, w1 = xs[0, j], xs[1, j], wx[0, j], wx[1, j]
            a = _square(f0, f1, i0, i1, w0, w1, upper, lower, word, 0, rounder)
            b = _square(b0, b1, i0, i1, w0, w1, upper, lower, word, 6, rounder)
            b = mul(b, wz[1, d], word, 12, rounder)
            target[j] = fma(a, wz[0, d], b, word, 13, rounder)


@kernel
def blend3(x, z, wz, y, wy, xs, wx, out, start, stop, key, rounder, direction):
    """Trilinear blend of volumes (P, D, H, W): 7 mul, 7 fma; items are rows."""
    set_rounding(direction)
    _blend3(x, z, wz, y, wy, xs, wx, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _cubic2(x, y, wy, xs, wx, out, start, stop, key, rounder):
    keep_apart()
    rows = np.empty(4, x.dtype)
    height, width = out.shape[1:]
    for item in range(start, stop):
        plane, row = item // height, item % height
        for j in range(width):
            own = element_word(key, item * width + j)
            for k in range(4):
                line = x[plane, y[k, row]]
                a = mul(line[xs[1, j]], wx[1, j], own, 5 * k, rounder)
                a = fma(line[xs[0, j]], wx[0, j], a, own, 5 * k + 1, rounder)
                a = fma(line[xs[2, j]], wx[2, j], a, own, 5 * k + 2, rounder)
                rows[k] = fma(line[xs[3, j]], wx[3, j], a, own, 5 * k + 3, rounder)
            total = mul(rows[1], wy[1, row], own, 4, rounder)
            total = fma(rows[0], wy[0, row], total, own, 9, rounder)
            total = fma(rows[2], wy[2, row], total, own, 14, rounder)
            out[plane, row, j] = fma(rows[3], wy[3, row], total, own, 19, rounder)


@kernel
def cubic2(x, y, wy, xs, wx, out, start, stop, key, rounder, direction):
    """Bicubic blend of planes (P, H, W): 5 mul, 15 fma per output; items are rows."""
    set_rounding(direction)
    _cubic2(x, y, wy, xs, wx, out, start, stop, key, rounder)
    set_rounding(NEAREST)
