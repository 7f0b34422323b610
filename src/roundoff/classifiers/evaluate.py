"""Accuracy and F1 over folds, and what was skipped, of one classifier."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roundoff.nan import ConvertedModel, SkipCount

FOLDS, SHUFFLE_SEED = 5, 42  # as published


@torch.inference_mode()
def predict(network: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> NDArray:
    """Classes (N,) int64; a NaN logit never wins, and without any other 0 is taken."""
    found = []
    for x in batches:
        logits = network(x).float()
        logits = torch.where(logits.isnan(), -torch.inf, logits)
        found.append(logits.argmax(1))
    return torch.cat(found).numpy()


def folds(count: int) -> list[NDArray]:
    """The places of 5 shuffled parts, seed 42."""
    order = np.random.RandomState(SHUFFLE_SEED).permutation(count)
    return np.array_split(order, FOLDS)


def f1(labels: NDArray, classes: NDArray) -> float:
    """Macro F1 over the labels that occur."""
    scores = []
    for label in np.unique(labels):
        hits = np.sum((labels == label) & (classes == label))
        scores.append(2 * hits / (np.sum(labels == label) + np.sum(classes == label)))
    return float(np.mean(scores))


def scores(labels: NDArray, classes: NDArray) -> dict[str, float]:
    """Accuracy (percent, mean and standard deviation over folds) and macro F1."""
    parts = folds(len(labels))
    right = [100 * float(np.mean(labels[p] == classes[p])) for p in parts]
    macro = [f1(labels[p], classes[p]) for p in parts]
    return {
        "accuracy": float(np.mean(right)),
        "sd": float(np.std(right, ddof=1)),
        "f1": float(np.mean(macro)),
    }


def skip_table(counts: dict[str, SkipCount]) -> pd.DataFrame:
    """Per convolution: layer, skipped share of positions, of multiply-accumulates."""
    rows = [
        {
            "layer": name,
            "share": c.share,
            "skipped": c.skipped_macs,
            "macs": c.total_macs,
        }
        for name, c in counts.items()
    ]
    return pd.DataFrame(rows)


def evaluate(
    network: nn.Module, images: Tensor, labels: NDArray, batch: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """Scores of a network, and its skip table (empty unless converted)."""
    network.eval()
    classes = predict(network, images.split(batch))
    table = pd.DataFrame(columns=["layer", "share", "skipped", "macs"])
    found = scores(labels, classes)
    found["skipped_macs"] = 0.0
    if isinstance(network, ConvertedModel):
        table = skip_table(network.counts())
        found["skipped_macs"] = float(table["skipped"].sum() / table["macs"].sum())
    return found, table
