"""Training the small network with one pooler, from one seed."""

import math
import time
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from roundoff.data.classification import ClassificationData, Split
from roundoff.poolers.network import SmallCnn
from roundoff.poolers.sizes import BATCH, RATE
from roundoff.seeds import derive_seed

Report = Callable[[float, str], None]


def pixels(split: Split, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Images float32 in 0-1 (N, C, H, W) and labels int64, the first `count`."""
    images = torch.from_numpy(split.images[:count]).float() / 255
    return images, torch.from_numpy(split.labels[:count]).long()


def train(
    pooler: str,
    data: ClassificationData,
    images: int | None,
    epochs: int,
    seed: int,
    report: Report = lambda fraction, words: None,
) -> tuple[SmallCnn, pd.DataFrame]:
    """Adam 1e-3, batches of 64. Everything random derives from `seed`.

    Columns: epoch, loss (mean over the batches), accuracy (of the test images, in
    evaluation mode), seconds (processor time of the epoch's training).
    """
    x, y = pixels(data.train, images)
    draws = _generator(seed, pooler, "draw")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "any", "poolers", "weights", 1))
        network = SmallCnn(pooler, x.shape[1], x.shape[2], generator=draws)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    order = _generator(seed, "any", "order")
    rows = []
    for epoch in range(1, epochs + 1):
        network.train()
        start, losses = time.process_time(), []
        for chosen in torch.randperm(len(x), generator=order).split(BATCH):
            loss = F.cross_entropy(network(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        seconds = time.process_time() - start
        right = accuracy(network, *pixels(data.test))
        mean = math.fsum(losses) / len(losses)
        rows.append(
            {"epoch": epoch, "loss": mean, "accuracy": right, "seconds": seconds}
        )
        report(epoch / epochs, f"epoch {epoch}, test accuracy {right:.3f}")
    return network, pd.DataFrame(rows)


def _generator(seed: int, pooler: str, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, pooler, "poolers", what, 1))


@torch.inference_mode()
def accuracy(network: SmallCnn, x: Tensor, y: Tensor) -> float:
    """Share of images classified correctly in evaluation mode."""
    network.eval()
    right = sum(
        int((network(a).argmax(1) == b).sum())
        for a, b in zip(x.split(500), y.split(500), strict=True)
    )
    return right / len(x)
