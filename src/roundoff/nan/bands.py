"""Skipping without compiled kernels: bands of rows, cropped to their active columns.

PyTorch computes whole rectangles, so only what lies outside of them is saved: a good
part of a background around a brain, little of scattered NaN. Two dimensions only: in
three the rectangles save nothing worth the bookkeeping.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from roundoff.nan.skips import ConvShape

HEIGHT = 32  # output rows of a band
LEAST = 0.2  # share of skipped positions below which one rectangle is quicker


def worthwhile(skipped: Tensor, shape: ConvShape, *tensors: Tensor | None) -> bool:
    """Whether to compute in bands: two dimensions, no gradients, enough to save."""
    if len(shape.kernel) != 2 or float(skipped.float().mean()) < LEAST:
        return False
    needs = any(t is not None and t.requires_grad for t in tensors)
    return not (torch.is_grad_enabled() and needs)


def active_bands(skipped: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the output that hold every position to be computed.

    `skipped`: bool [N, groups, OH, OW].
    """
    active = ~skipped.flatten(0, 1).all(0)
    for top in range(0, active.shape[0], HEIGHT):
        band = active[top : top + HEIGHT]
        rows, columns = band.any(1).nonzero(), band.any(0).nonzero()
        if len(rows):
            yield (
                slice(top + int(rows[0]), top + int(rows[-1]) + 1),
                slice(int(columns[0]), int(columns[-1]) + 1),
            )


def input_slices(outputs: tuple[slice, ...], shape: ConvShape) -> tuple[slice, ...]:
    """Slices [N, C, ...] of the padded input that these outputs are made of."""
    spans = [
        slice(o.start * s, (o.stop - 1) * s + d * (k - 1) + 1)
        for o, s, d, k in zip(
            outputs, shape.stride, shape.dilation, shape.kernel, strict=True
        )
    ]
    return (slice(None), slice(None), *spans)


def unpadded(shape: ConvShape) -> ConvShape:
    """The same convolution on an input that has its padding already."""
    none = (0,) * len(shape.kernel)
    return replace(shape, before=none, after=none)
