"""Learning curves against s, and the learning rate they use."""

import copy
import math

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.data.classification import ClassificationData, Split
from roundoff.relu_zero.bifurcation import initialised
from roundoff.relu_zero.data import in_order, scaled, shuffled, tensors
from roundoff.relu_zero.draws import Report
from roundoff.relu_zero.networks import build
from roundoff.relu_zero.relu import set_slope, watched
from roundoff.relu_zero.sizes import DATASETS, Learning
from roundoff.seeds import derive_seed

MOMENTUM, DECAY = 0.9, 5e-4
RATES = (1e-3, 1e-1)  # searched on a logarithmic scale


def silent(fraction: float, words: str) -> None:
    """Report nothing."""


def optimizer_of(name: str, network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """SGD with momentum 0.9 and weight decay 5e-4, or Adam, as in the paper."""
    if name == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate)
    return torch.optim.SGD(
        network.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=DECAY
    )


def train(
    network: nn.Module,
    data: ClassificationData,
    runs: Learning,
    rate: float,
    seed: int,
    device: str = "cpu",
    images: int | None = None,
) -> pd.DataFrame:
    """Train a network in place, for `runs.epochs` epochs of its first `images` images.

    Columns: epoch, loss (mean over training batches), accuracy (of the test images),
    zeros (share of exact zeros among the ReLU inputs of the last batch). A run whose
    loss is no longer finite goes on: its accuracy tells.
    """  # fmt: skip
    limit = images or runs.images
    pixels, labels = (t.to(device) for t in _first(data.train, limit))
    network.to(device)
    optimizer = optimizer_of(runs.optimizer, network, rate)
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for epoch in range(1, runs.epochs + 1):
        network.train()
        losses = []
        augment = pixels.shape[1] == 3
        for x, y in shuffled(pixels, labels, runs.batch, generator, augment):
            with watched(network) as seen:
                loss = F.cross_entropy(network(scaled(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        rows.append(
            {
                "epoch": epoch,
                "loss": math.fsum(losses) / len(losses),
                "accuracy": accuracy(network, data.test, device),
                "zeros": _share_of_zeros(seen),
            }
        )
    return pd.DataFrame(rows)


def accuracy(network: nn.Module, split: Split, device: str = "cpu") -> float:
    """Share of images of a split that are classified correctly."""
    pixels, labels = tensors(split)
    network.eval()
    right = 0
    with torch.inference_mode():
        for x, y in in_order(pixels, labels, 1000):
            found = network(scaled(x.to(device))).argmax(1)
            right += int((found == y.to(device)).sum())
    return right / len(labels)


def best_rate(
    runs: Learning,
    data: ClassificationData,
    seed: int,
    device: str = "cpu",
    report: Report = silent,
) -> pd.DataFrame:
    """Search the learning rate by Optuna (tree-structured Parzen estimator), s = 0.

    One row per trial: trial, rate, accuracy, best (True in one row). Each trial trains
    for one epoch of `runs.trial_images` images.
    """  # fmt: skip
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    short = Learning(**(vars(runs) | {"epochs": 1}))
    begin = derive_seed(seed, runs.network, "relu_zero", "rate", 0)

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", *RATES, log=True)
        network = initialised(lambda: build(runs.network), begin, "float32")
        curve = train(network, data, short, rate, begin, device, runs.trial_images)
        report((trial.number + 1) / runs.trials, f"{runs.network}, rate {rate:.3g}")
        return float(curve["accuracy"].iloc[-1])

    sampler = optuna.samplers.TPESampler(seed=begin % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=runs.trials)
    rows = [
        {"trial": t.number, "rate": t.params["rate"], "accuracy": t.value}
        for t in study.trials
    ]
    return pd.DataFrame(rows).assign(
        best=[t.number == study.best_trial.number for t in study.trials]
    )


def learning_table(
    runs: Learning,
    data: ClassificationData,
    rate: float,
    seed: int,
    number: int,
    device: str = "cpu",
    report: Report = silent,
) -> pd.DataFrame:
    """Train one start with every s and variant: the same weights, the same batches.

    Columns: network, data, variant, slope, seed_number, rate, then those of `train`.
    For s = 0 the variants are the same, and only the first is trained.
    """  # fmt: skip
    begin = derive_seed(seed, runs.network, "relu_zero", "learning", number)
    start = initialised(lambda: build(runs.network), begin, "float32")
    tables = []
    cases = [
        (variant, slope)
        for variant in runs.variants
        for slope in runs.slopes
        if slope != 0 or variant == runs.variants[0]
    ]
    for index, (variant, slope) in enumerate(cases):
        network = copy.deepcopy(start)
        set_slope(network, slope, variant)
        curve = train(network, data, runs, rate, begin, device)
        tables.append(
            curve.assign(
                network=runs.network,
                data=DATASETS[runs.network],
                variant=variant,
                slope=slope,
                seed_number=number,
                rate=rate,
            )
        )
        report((index + 1) / len(cases), f"{runs.network}, {variant}, s = {slope:g}")
    table = pd.concat(tables, ignore_index=True)
    leading = ["network", "data", "variant", "slope", "seed_number", "rate"]
    return table[leading + [c for c in table if c not in leading]]


def _first(split: Split, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    return tensors(Split(split.images[:images], split.labels[:images]))


def _share_of_zeros(seen: dict[str, list[torch.Tensor]]) -> float:
    values = [value for layer in seen.values() for value in layer]
    total = sum(value.numel() for value in values)
    return 1 - sum(int(value.count_nonzero()) for value in values) / total
