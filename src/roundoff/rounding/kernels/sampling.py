"""`grid_sample`: coordinates, weights and blend with every rounding perturbed."""

import numpy as np

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, div, fma, mul, sub
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.math import floor_of, round_even
from roundoff.rounding.streams import derived_key, element_word

ZEROS, BORDER, REFLECTION = 0, 1, 2


@device
def _reflect(x, size, align, one, word, step, rounder):
    if size == 1 and align:
        return one - one
    low = one - one if align else -(one * np.float32(0.5))
    span = one * np.float32(size - 1 if align else size)
    distance = abs(sub(x, low, word, step, rounder))
    flips = floor_of(div(distance, span, word, step + 1, rounder))
    extra = fma(-flips, span, distance, word, step + 2, rounder)
    if np.int64(flips) % 2 != 0:
        extra = sub(span, extra, word, step + 3, rounder)
    return add(extra, low, word, step + 4, rounder)


@device
def _pad(x, size, padding, align, one, word, step, rounder):
    if padding == REFLECTION:
        x = _reflect(x, size, align, one, word, step, rounder)
    if padding != ZEROS:
        last = one * np.float32(size - 1)
        x = min(max(x, one - one), last)
    # far outside or NaN: any cell that is outside, without integer overflow
    big = one * np.float32(1e9)
    return min(max(x, -big), big) if x == x else -big


@device
def _place2(x, size, align, half, word, step, rounder):
    """Vector code of 2-D: (x + 1)·size/2 - 1/2, or (x + 1)·(size - 1)/2."""
    one = half + half
    moved = add(x, one, word, step, rounder)
    if align:
        return mul(moved, half * np.float32(size - 1), word, step + 1, rounder)
    return fma(moved, half * np.float32(size), -half, word, step + 1, rounder)


@device
def _place3(x, size, align, half, word, step, rounder):
    """Scalar code of 3-D: ((x + 1)·size - 1)/2, or (x + 1)/2·(size - 1)."""
    one = half + half
    moved = add(x, one, word, step, rounder)
    if align:
        moved = mul(moved, half, word, step + 1, rounder)
        return mul(moved, one * np.float32(size - 1), word, step + 2, rounder)
    moved = mul(moved, one * np.float32(size), word, step + 1, rounder)
    return mul(sub(moved, one, word, step + 2, rounder), half, word, step + 3, rounder)


@kernel
def _points2(
    grid, half, height, width, align, padding, places, start, stop, key, rounder
):
    keep_apart()
    one = half + half
    for i in range(start, stop):
        word = element_word(key, i)
        x = _place2(grid[i, 0], width, align, half, word, 0, rounder)
        y = _place2(grid[i, 1], height, align, half, word, 2, rounder)
        places[i, 0] = _pad(x, width, padding, align, one, word, 4, rounder)
        places[i, 1] = _pad(y, height, padding, align, one, word, 9, rounder)


@kernel
def points2(
    grid,
    half,
    height,
    width,
    align,
    padding,
    places,
    start,
    stop,
    key,
    rounder,
    direction,
):
    """Pixel coordinates (points, 2) of normalised coordinates: 1 add, 1 fma each."""
    set_rounding(direction)
    _points2(
        grid, half, height, width, align, padding, places, start, stop, key, rounder
    )
    set_rounding(NEAREST)


@kernel
def _points3(grid, half, sizes, align, padding, places, start, stop, key, rounder):
    keep_apart()
    one = half + half
    for i in range(start, stop):
        word = element_word(key, i)
        for axis in range(3):
            size = sizes[2 - axis]
            x = _place3(grid[i, axis], size, align, half, word, 9 * axis, rounder)
            places[i, axis] = _pad(
                x, size, padding, align, one, word, 9 * axis + 4, rounder
            )


@kernel
def points3(
    grid, half, sizes, align, padding, places, start, stop, key, rounder, direction
):
    """Voxel coordinates (points, 3) in the order x, y, z; sizes is (D, H, W)."""
    set_rounding(direction)
    _points3(grid, half, sizes, align, padding, places, start, stop, key, rounder)
    set_rounding(NEAREST)


@device
def _fetch2(plane, y, x, none):
    inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
    return plane[y, x] if inside else none


@kernel
def _bilinear(x, places, per, out, start, stop, key, rounder):
    keep_apart()
    channels = x.shape[1]
    weights_key = derived_key(key, 1)
    for i in range(start, stop):
        word = element_word(weights_key, i)
        px, py = places[i, 0], places[i, 1]
        left, top = floor_of(px), floor_of(py)
        none = px - px
        one = none + np.float32(1)
        w = sub(px, left, word, 0, rounder)
        e = sub(one, w, word, 1, rounder)
        n = sub(py, top, word, 2, rounder)
        s = sub(one, n, word, 3, rounder)
        nw, ne = mul(s, e, word, 4, rounder), mul(s, w, word, 5, rounder)
        sw, se = mul(n, e, word, 6, rounder), mul(n, w, word, 7, rounder)
        column, row = np.int64(left), np.int64(top)
        batch, point = i // per, i % per
        for c in range(channels):
            plane = x[batch, c]
            own = element_word(key, i * channels + c)
            y = mul(_fetch2(plane, row, column, none), nw, own, 0, rounder)
            y = fma(_fetch2(plane, row, column + 1, none), ne, y, own, 1, rounder)
            y = fma(_fetch2(plane, row + 1, column, none), sw, y, own, 2, rounder)
            out[batch, c, point] = fma(
                _fetch2(plane, row + 1, column + 1, none), se, y, own, 3, rounder
            )


@kernel
def bilinear(x, places, per, out, start, stop, key, rounder, direction):
    """Bilinear samples of x (N, C, H, W) at places (N·per, 2) into out (N, C, per).

    4 sub and 4 mul per point, 1 mul and 3 fma per output.
    """
    set_rounding(direction)
    _bilinear(x, places, per, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def _trilinear(x, places, per, out, start, stop, key, rounder):
    keep_apart()
    channels, depth, height, width = x.shape[1:]
    weights_key = derived_key(key, 1)
    weights = np.empty(8, x.dtype)
    corner = np.empty(8, np.int64)
    for i in range(start, stop):
        word = element_word(weights_key, i)
        px, py, pz = places[i, 0], places[i, 1], places[i, 2]
        x0, y0, z0 = floor_of(px), floor_of(py), floor_of(pz)
        none = px - px
        one = none + np.float32(1)
        wx1 = sub(px, x0, word, 0, rounder)
        wx0 = sub(x0 + one, px, word, 1, rounder)
        wy1 = sub(py, y0, word, 2, rounder)
        wy0 = sub(y0 + one, py, word, 3, rounder)
        wz1 = sub(pz, z0, word, 4, rounder)
        wz0 = sub(z0 + one, pz, word, 5, rounder)
        pairs = (
            mul(wx0, wy0, word, 6, rounder),
            mul(wx1, wy0, word, 7, rounder),
            mul(wx0, wy1, word, 8, rounder),
            mul(wx1, wy1, word, 9, rounder),
        )
        for k in range(8):
            z, y, column = (
                np.int64(z0) + k // 4,
                np.int64(y0) + (k // 2) % 2,
                np.int64(x0) + k % 2,
            )
            inside = 0 <= z < depth and 0 <= y < height and 0 <= column < width
            corner[k] = (z * height + y) * width + column if inside else -1
            far = wz1 if k >= 4 else wz0
            weights[k] = mul(pairs[k % 4], far, word, 10 + k, rounder)
        batch, point = i // per, i % per
        for c in range(channels):
            volume = x[batch, c].reshape(-1)
            own = element_word(key, i * channels + c)
            total = none
            for k in range(8):
                if corner[k] >= 0:
                    tap = mul(volume[corner[k]], weights[k], own, 2 * k, rounder)
                    total = add(total, tap, own, 2 * k + 1, rounder)
            out[batch, c, point] = total


@kernel
def trilinear(x, places, per, out, start, stop, key, rounder, direction):
    """Trilinear samples of x (N, C, D, H, W) at places (N·per, 3).

    6 sub and 12 mul per point, 1 mul and 1 add per tap inside the volume.
    """
    set_rounding(direction)
    _trilinear(x, places, per, out, start, stop, key, rounder)
    set_rounding(NEAREST)


@kernel
def closest(x, places, per, out, start, stop, key, rounder, direction):
    """Values at the nearest voxel (ties to even); no rounding, zeros outside.

    x is (N, C, D, H, W) and places (N·per, 3), or with D = 1 and (N·per, 2).
    """
    channels, depth, height, width = x.shape[1:]
    flat_case = places.shape[1] == 2
    for i in range(start, stop):
        column = np.int64(round_even(places[i, 0]))
        y = np.int64(round_even(places[i, 1]))
        z = np.int64(0) if flat_case else np.int64(round_even(places[i, -1]))
        inside = 0 <= z < depth and 0 <= y < height and 0 <= column < width
        batch, point = i // per, i % per
        for c in range(channels):
            out[batch, c, point] = x[batch, c, z, y, column] if inside else 0
