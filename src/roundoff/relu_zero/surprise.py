"""The surprise: copies of one network, trained alike but for ReLU'(0), part ways.

Four copies see the same batches: s = 1; s = 0; s = 0 again, whose distance from the
second must stay exactly zero; and s = 0 with the images of each batch in reverse order,
a difference of rounding alone, to compare with.
"""

import copy
from collections.abc import Iterator
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.data.classification import Split
from roundoff.relu_zero.bifurcation import DTYPES, initialised
from roundoff.relu_zero.data import in_order, scaled, tensors
from roundoff.relu_zero.draws import Report
from roundoff.relu_zero.networks import mlp
from roundoff.relu_zero.relu import set_slope, watched
from roundoff.seeds import derive_seed

HIDDEN, BATCH, RATE = (2000, 128), 128, 0.01
COPIES = {"s1": 1.0, "s0": 0.0, "s0_again": 0.0, "s0_reversed": 0.0}


def surprise_table(
    precision: str,
    split: Split,
    iterations: int,
    seed: int,
    number: int = 1,
    hidden: tuple[int, ...] = HIDDEN,
    rate: float = RATE,
    report: Report = lambda fraction, words: None,
) -> pd.DataFrame:
    """Train the copies by plain SGD; one row per iteration, before its update.

    Columns: precision, seed_number, iteration, distance_s0_s1, distance_s0_s0,
    distance_s0_reversed (L1 norm of the difference of all weights), smallest (absolute
    ReLU input of the first layer, s = 0), zeros (exact, in all layers, s = 0).
    """  # fmt: skip
    images, labels = tensors(split)
    images = scaled(images, DTYPES[precision])
    weights = derive_seed(seed, "surprise", "relu_zero", "draw", number)
    first = initialised(partial(mlp, hidden, images[0].numel()), weights, precision)
    copies = {name: copy.deepcopy(first) for name in COPIES}
    for name, slope in COPIES.items():
        set_slope(copies[name], slope)
    rows = []
    for iteration, (x, y) in enumerate(_endless(images, labels)):
        if iteration == iterations:
            break
        row = {"precision": precision, "seed_number": number, "iteration": iteration}
        row |= _distances(copies)
        for name, network in copies.items():
            reverse = name.endswith("reversed")
            batch = (x.flip(0), y.flip(0)) if reverse else (x, y)
            with watched(network) as seen:
                _step(network, *batch, rate)
            if name == "s0":
                row |= _near_zero(seen)
        rows.append(row)
        report((iteration + 1) / iterations, f"{precision}, iteration {iteration}")
    return pd.DataFrame(rows)


def _endless(images: torch.Tensor, labels: torch.Tensor) -> Iterator:
    while True:
        yield from in_order(images, labels, BATCH)


def _step(network: nn.Module, x: torch.Tensor, y: torch.Tensor, rate: float) -> None:
    outputs = network(x)
    if outputs.dtype in (torch.float16, torch.bfloat16):
        outputs = outputs.float()
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(F.cross_entropy(outputs, y), parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=rate)


def _distances(copies: dict[str, nn.Module]) -> dict[str, float]:
    reference = list(copies["s0"].parameters())

    def distance(name: str) -> float:
        pairs = zip(copies[name].parameters(), reference, strict=True)
        with torch.no_grad():
            return float(sum((a.double() - b.double()).abs().sum() for a, b in pairs))

    return {
        "distance_s0_s1": distance("s1"),
        "distance_s0_s0": distance("s0_again"),
        "distance_s0_reversed": distance("s0_reversed"),
    }


def _near_zero(seen: dict[str, list[torch.Tensor]]) -> dict[str, float]:
    values = [value for layer in seen.values() for value in layer]
    zeros = sum(value.numel() - int(value.count_nonzero()) for value in values)
    return {"smallest": float(values[0].abs().min()), "zeros": zeros}
