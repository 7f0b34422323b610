"""Additions of transposed convolutions: overlapping taps, then the bias."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from roundoff.rounding.compilation import keep_apart, kernel
from roundoff.rounding.elementary import add
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.plan import Plan
from roundoff.rounding.streams import derived_key, element_word, stream_key
from roundoff.rounding.threads import run_in_chunks


@kernel
def _overlap(taps, out, stride, padding, dilation, start, stop, key, rounder):
    keep_apart()
    kd, kh, kw, depth, height, width = taps.shape[1:]
    for c in range(start, stop):
        for tap in range(kd * kh * kw):
            own = derived_key(key, c * kd * kh * kw + tap)
            a, b, e = tap // (kh * kw), tap // kw % kh, tap % kw
            for d in range(depth):
                z = d * stride[0] - padding[0] + a * dilation[0]
                if z < 0 or z >= out.shape[1]:
                    continue
                for h in range(height):
                    y = h * stride[1] - padding[1] + b * dilation[1]
                    if y < 0 or y >= out.shape[2]:
                        continue
                    for w in range(width):
                        x = w * stride[2] - padding[2] + e * dilation[2]
                        if x < 0 or x >= out.shape[3]:
                            continue
                        word = element_word(own, (d * height + h) * width + w)
                        term = taps[c, a, b, e, d, h, w]
                        out[c, z, y, x] = add(out[c, z, y, x], term, word, 0, rounder)


@kernel
def _run_overlap(
    taps, out, stride, padding, dilation, start, stop, key, rounder, direction
):
    set_rounding(direction)
    _overlap(taps, out, stride, padding, dilation, start, stop, key, rounder)
    set_rounding(NEAREST)


def overlap_add(
    taps: np.ndarray,
    out: np.ndarray,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    plan: Plan,
) -> None:
    """Add taps (C, kd, kh, kw, D, H, W) into out (C, D', H', W') where they belong.

    Each output receives its taps in the order of (kd, kh, kw), as torch's col2im.
    """
    own = replace(plan, key=stream_key(plan.key, "overlap"))
    sizes = [tuple(int(v) for v in values) for values in (stride, padding, dilation)]
    run_in_chunks(_run_overlap, taps.shape[0], own, taps, out, *sizes, smallest=1)


@kernel
def _bias_body(out, bias, start, stop, key, rounder):
    keep_apart()
    channels, volume = out.shape[1], np.uint64(out.shape[2])
    for row in range(start, stop):
        own = derived_key(key, row)
        value = bias[row % channels]
        line = out[row // channels, row % channels]
        for i in range(volume):
            line[i] = add(line[i], value, element_word(own, i), 0, rounder)


@kernel
def _run_bias(out, bias, start, stop, key, rounder, direction):
    set_rounding(direction)
    _bias_body(out, bias, start, stop, key, rounder)
    set_rounding(NEAREST)


def add_bias(out: np.ndarray, bias: np.ndarray, plan: Plan) -> None:
    """Add bias (C,) to out (N, C, ...) in place, one rounded addition per output."""
    flat = out.reshape(*out.shape[:2], -1)
    rows = out.shape[0] * out.shape[1]
    bias = np.ascontiguousarray(bias)
    run_in_chunks(_run_bias, rows, plan, flat, bias, smallest=1)
