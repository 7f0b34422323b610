"""The rules of NaN operations as direct loops over NumPy arrays, for comparison.

Written from the rules alone: one window at a time, no code shared with the library.
"""

import itertools
import math

import numpy as np


def windows(plane, kernel, stride, padding=None):
    """(output index, [(cell number, coordinate inside the plane)]) of every window."""
    padding = padding or (0,) * len(plane)
    grid = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(plane, padding, kernel, stride, strict=True)
    ]
    for place in itertools.product(*map(range, grid)):
        cells = []
        for number, offset in enumerate(itertools.product(*map(range, kernel))):
            at = tuple(
                i * s - p + o
                for i, s, p, o in zip(place, stride, padding, offset, strict=True)
            )
            if all(0 <= a < n for a, n in zip(at, plane, strict=True)):
                cells.append((number, at))
        yield place, cells


def grid_of(plane, kernel, stride, padding=None):
    return tuple(np.max([w for w, _ in windows(plane, kernel, stride, padding)], 0) + 1)


def flat(at, plane):
    return int(np.ravel_multi_index(at, plane))


def tie_set(held, rtol, atol, max_threshold):
    """(maximum, cells close to it, tied, void) of a list of values of one window."""
    work = np.float64 if held.dtype == np.float64 else np.float32
    values = [-math.inf if np.isnan(v) else work(v) for v in held]
    m = max(values)
    if m == -math.inf:
        return m, list(range(len(values))), True, True
    close = [
        i
        for i, e in enumerate(values)
        if e == m
        or (
            np.isfinite(e)
            and np.isfinite(m)
            and abs(e - m) <= work(atol) + work(rtol) * abs(m)
        )
    ]
    return m, close, len(close) > max_threshold, False


def pool(x, kernel, stride, *, max_threshold, rtol, atol, padding=None):
    """Aggressive values and indices, conservative values, indices and write lists."""
    plane = x.shape[2:]
    grid = grid_of(plane, kernel, stride, padding)
    values = np.empty((*x.shape[:2], *grid), x.dtype)
    indices = np.empty(values.shape, np.int64)
    kept, first, writes = values.copy(), indices.copy(), {}
    for n, c in np.ndindex(*x.shape[:2]):
        for place, cells in windows(plane, kernel, stride, padding):
            held = np.array([x[n, c][at] for _, at in cells])
            m, close, tied, void = tie_set(held, rtol, atol, max_threshold)
            positions = [flat(at, plane) for _, at in cells]
            winner = next(i for i, v in enumerate(held) if (void or v == m))
            spot = (n, c, *place)
            values[spot] = np.nan if tied else m
            indices[spot] = positions[0] if tied else positions[winner]
            kept[spot] = np.nan if void else m
            first[spot] = positions[winner]
            chosen = close if tied else [winner]
            writes[spot] = (tied, [positions[i] for i in chosen])
    return values, indices, kept, first, writes


def unpool(kept, writes, size):
    """Windows in row-major order, each writing over what the ones before left."""
    out = np.zeros((*kept.shape[:2], int(np.prod(size))), kept.dtype)
    for spot in np.ndindex(*kept.shape):
        tied, positions = writes[spot]
        for position in positions:
            out[spot[0], spot[1], position] = np.nan if tied else kept[spot]
    return out.reshape(*kept.shape[:2], *size)


def conv(x, weight, bias, stride, padding, dilation, groups, threshold, fill="mean"):
    """(output float64, skipped, total) of the NaN convolution."""
    dims = x.ndim - 2
    x = np.asarray(x, np.float64)
    padded = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    kernel = weight.shape[2:]
    inputs, outputs = x.shape[1] // groups, weight.shape[0] // groups
    grid = [
        (padded.shape[2 + a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
        for a in range(dims)
    ]
    out = np.empty((x.shape[0], weight.shape[0], *grid))
    skipped = 0
    for n, g in np.ndindex(x.shape[0], groups):
        channels = slice(g * inputs, (g + 1) * inputs)
        mine = slice(g * outputs, (g + 1) * outputs)
        for place in np.ndindex(*grid):
            cut = tuple(
                slice(
                    i * stride[a],
                    i * stride[a] + dilation[a] * (kernel[a] - 1) + 1,
                    dilation[a],
                )
                for a, i in enumerate(place)
            )
            window = padded[(n, channels, *cut)]
            spot = (n, mine, *place)
            if np.isnan(window).sum() / window.size >= threshold:
                out[spot] = np.nan
                skipped += 1
                continue
            finite = window[np.isfinite(window)]
            mean = finite.mean() if fill == "mean" and finite.size else 0.0
            filled = np.where(np.isnan(window), mean, window)
            with np.errstate(invalid="ignore"):
                products = np.asarray(weight[mine], np.float64) * filled
                out[spot] = products.sum(axis=tuple(range(1, products.ndim)))
            if bias is not None:
                out[spot] += bias[mine]
    return out, skipped, x.shape[0] * groups * int(np.prod(grid))
