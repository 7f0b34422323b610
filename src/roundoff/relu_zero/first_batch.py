"""Convolutional networks on CIFAR-10: the first batch whose gradients differ."""

from itertools import islice

import pandas as pd
import torch

from roundoff.data.classification import Split
from roundoff.relu_zero.bifurcation import DTYPES, first_difference, initialised
from roundoff.relu_zero.data import scaled, shuffled, tensors
from roundoff.relu_zero.draws import Report
from roundoff.relu_zero.networks import build
from roundoff.seeds import derive_seed

BATCH = 128


def first_batch_table(
    name: str,
    precision: str,
    draws: range,
    split: Split,
    batches: int,
    seed: int,
    device: str = "cpu",
    report: Report = lambda fraction, words: None,
) -> pd.DataFrame:
    """Draw a network, go through shuffled, augmented batches until gradients differ.

    Columns: network, precision, draw, first_batch (empty: not among the `batches`),
    images, inputs, zeros, as in `draws.draw_table`.
    """  # fmt: skip
    images, labels = (t.to(device) for t in tensors(split))
    rows = []
    for index, draw in enumerate(draws):
        weights = derive_seed(seed, name, "relu_zero", "first_batch", draw)
        network = initialised(lambda: build(name), weights, precision).to(device)
        generator = torch.Generator().manual_seed(weights)
        stream = shuffled(images, labels, BATCH, generator, augment=True)
        some = ((scaled(x, DTYPES[precision]), y) for x, y in islice(stream, batches))
        outcome = first_difference(network, some)
        rows.append(
            {"network": name, "precision": precision, "draw": draw} | vars(outcome)
        )
        report((index + 1) / len(draws), f"{name} {precision}, draw {draw}")
    return pd.DataFrame(rows).astype({"first_batch": "Int64"})
