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
MOST_GATHERED = 1 << 24  # values of windows gathered at a time
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


def few(partial: Tensor, shape: ConvShape) -> bool:
    """Whether filling the windows `partial` one by one beats convolving all."""
    count = int(partial.sum())
    small = count * shape.window <= MOST_GATHERED
    return shape.groups == 1 and small and count <= 0.15 * partial.numel()


def add_means(
    result: Tensor,
    known: Tensor,
    missing: Tensor,
    partial: Tensor,
    weight: Tensor,
    shape: ConvShape,
) -> None:
    """Add, in place, what filling with window means adds to the windows `partial`.

    `known` [N, C, H, W] has 0 where `missing`, padding included; `partial` is bool
    [N, 1, OH, OW]; groups = 1.
    """
    sample, _, row, column = partial.nonzero(as_tuple=True)
    kernel, stride, dilation = shape.kernel, shape.stride, shape.dilation
    down = torch.arange(kernel[0], device=row.device) * dilation[0]
    along = torch.arange(kernel[1], device=row.device) * dilation[1]
    place = (
        sample[:, None, None],
        slice(None),
        (row * stride[0])[:, None, None] + down[:, None],
        (column * stride[1])[:, None, None] + along,
    )
    gone = missing[place].flatten(1)
    values = known[place].flatten(1)
    absent = gone | values.isinf()
    values = torch.where(absent, 0.0, values)
    mean = values.sum(1) / (~absent).sum(1).clamp(min=1)
    matrix = weight.permute(2, 3, 1, 0).reshape(-1, shape.out_channels)
    added = mean[:, None] * (gone.to(weight.dtype) @ matrix)
    result[sample, :, row, column] += added
