"""The estimator along an axis: one row of a table per draw and point."""

from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd

from roundoff.data.classification import Split
from roundoff.relu_zero.bifurcation import DTYPES, first_difference, initialised
from roundoff.relu_zero.data import in_order, scaled, tensors
from roundoff.relu_zero.networks import mlp
from roundoff.relu_zero.sizes import cells
from roundoff.seeds import derive_seed

Report = Callable[[float, str], None]


def draw_seed(master: int, axis: str, value: int, draw: int) -> int:
    """Seed of the weights of one draw: the same for all precisions."""
    return derive_seed(master, f"{axis}={value}", "relu_zero", "draw", draw)


def draw_table(
    axis: str,
    precision: str,
    draws: Iterable[int],
    split: Split,
    seed: int,
    report: Report = lambda fraction, words: None,
) -> pd.DataFrame:
    """Draw networks at every point of an axis and see where the gradients differ.

    Columns: axis, value, precision, draw, first_batch (empty: never), images, inputs
    (of ReLUs, seen until then), zeros (exact, among them). Images run in the order of
    the data set, as in the paper.
    """  # fmt: skip
    images, labels = tensors(split)
    images = scaled(images, DTYPES[precision])
    points, draws = list(cells(axis)), list(draws)
    rows = []
    for number, (value, cell) in enumerate(points):
        make = partial(mlp, (cell.width,) * cell.layers, images[0].numel())
        for index, draw in enumerate(draws):
            network = initialised(make, draw_seed(seed, axis, value, draw), precision)
            outcome = first_difference(network, in_order(images, labels, cell.batch))
            rows.append(
                {
                    "axis": axis,
                    "value": value,
                    "precision": precision,
                    "draw": draw,
                    "first_batch": outcome.first_batch,
                    "images": outcome.images,
                    "inputs": outcome.inputs,
                    "zeros": outcome.zeros,
                }
            )
            done = (number + (index + 1) / len(draws)) / len(points)
            report(done, f"{axis} {value}, draw {draw}")
    table = pd.DataFrame(rows)
    return table.astype({"first_batch": "Int64"})
