"""Exact zeros under random rounding: which stay, which go, which appear."""

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd
import torch
from torch import nn

from roundoff import RandomRounding
from roundoff.data.classification import Split
from roundoff.relu_zero.bifurcation import (
    DTYPES,
    Arithmetic,
    gradients_differ,
    ieee,
    initialised,
)
from roundoff.relu_zero.data import Batch, in_order, scaled, tensors
from roundoff.relu_zero.draws import Report, draw_seed
from roundoff.relu_zero.networks import mlp
from roundoff.relu_zero.relu import watched
from roundoff.relu_zero.sizes import BASE


def random_rounding(seed: int, mode: str = "random") -> Arithmetic:
    """Arithmetic that rounds at random; batch i draws from (seed, i)."""
    return lambda batch: RandomRounding(mode=mode, seed=seed, sample=batch)


def zero_masks(network: nn.Module, x: torch.Tensor, context) -> list[torch.Tensor]:
    """For every ReLU in turn, where its input is exactly zero (bool, (N, ...))."""
    with watched(network) as seen:
        with context, torch.no_grad():
            network(x)
        return [value == 0 for values in seen.values() for value in values]


def compare_draw(
    network: nn.Module, batches: Iterator[Batch], rounded: Arithmetic
) -> pd.DataFrame:
    """Zeros of a network with ordinary and with random rounding, on the same batches.

    One row per ReLU: layer (from 1), inputs, zeros, rounded_zeros, kept (zero in both);
    and the same in all rows, first and rounded_first, the first batch whose gradients
    with s = 0 and s = 1 differ (empty: none).
    """
    counts: list[list[int]] = []
    first: dict[str, int | None] = {"first": None, "rounded_first": None}
    arithmetics = {"first": ieee, "rounded_first": rounded}
    for number, (x, labels) in enumerate(batches):
        masks = {k: zero_masks(network, x, a(number)) for k, a in arithmetics.items()}
        counts = counts or [[0, 0, 0, 0] for _ in masks["first"]]
        for row, a, b in zip(counts, *masks.values(), strict=True):
            found = (a.numel(), int(a.sum()), int(b.sum()), int((a & b).sum()))
            row[:] = [old + new for old, new in zip(row, found, strict=True)]
        for key, arithmetic in arithmetics.items():
            waiting = first[key] is None and any(m.any() for m in masks[key])
            if waiting and gradients_differ(network, x, labels, arithmetic, number):
                first[key] = number
    columns = ["inputs", "zeros", "rounded_zeros", "kept"]
    table = pd.DataFrame(counts, columns=columns).assign(**first)
    table.insert(0, "layer", range(1, len(counts) + 1))
    return table.astype({"first": "Int64", "rounded_first": "Int64"})


def comparison_table(
    precision: str,
    draws: range,
    split: Split,
    images: int,
    seed: int,
    mode: str,
    report: Report = lambda fraction, words: None,
) -> pd.DataFrame:
    """`compare_draw` for several draws of the base network on the first `images`.

    Columns: precision, draw, then those of `compare_draw`. The weights are those of the
    draws along the axis `layers`.
    """  # fmt: skip
    pixels, labels = tensors(Split(split.images[:images], split.labels[:images]))
    x = scaled(pixels, DTYPES[precision])
    hidden = (BASE["width"],) * BASE["layers"]
    make: Callable[[], nn.Module] = partial(mlp, hidden, x[0].numel())
    tables = []
    for index, draw in enumerate(draws):
        weights = draw_seed(seed, "layers", BASE["layers"], draw)
        network = initialised(make, weights, precision)
        batches = in_order(x, labels, BASE["batch"])
        table = compare_draw(network, batches, random_rounding(weights, mode))
        tables.append(table.assign(precision=precision, draw=draw, images=len(x)))
        report((index + 1) / len(draws), f"{precision}, draw {draw}")
    table = pd.concat(tables, ignore_index=True)
    leading = ["precision", "draw", "images"]
    return table[leading + [c for c in table if c not in leading]]
