"""Training the MNIST network."""

import math
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F

from roundoff.data.classification import ClassificationData, Split
from roundoff.models.classifiers import MnistCnn
from roundoff.seeds import derive_seed

BATCH, RATE = 64, 2e-3
MEAN, SD = 0.1307, 0.3081  # of the training pixels in 0-1

Report = Callable[[float, str], None]


def images_of(split: Split, count: int | None = None) -> torch.Tensor:
    """Normalised images (N, 1, 28, 28) float32."""
    return (torch.from_numpy(split.images[:count]).float() / 255 - MEAN) / SD


def train(
    data: ClassificationData,
    epochs: int,
    seed: int,
    count: int | None = None,
    report: Report = lambda fraction, words: None,
) -> tuple[MnistCnn, pd.DataFrame]:
    """Adam under one cycle of learning rates; columns epoch, loss, accuracy (percent).

    `count`: training images, all when None. Everything random derives from `seed`.
    """
    x = images_of(data.train, count)
    y = torch.from_numpy(data.train.labels[:count]).long()
    test, labels = images_of(data.test), torch.from_numpy(data.test.labels).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "mnist", "classifiers", "weights", 1))
        network = MnistCnn()
    order = torch.Generator()
    order.manual_seed(derive_seed(seed, "mnist", "classifiers", "order", 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = epochs * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    rows = []
    for epoch in range(1, epochs + 1):
        network.train()
        losses = []
        for chosen in torch.randperm(len(x), generator=order).split(BATCH):
            loss = F.cross_entropy(network(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        network.eval()
        with torch.inference_mode():
            right = [
                (network(a).argmax(1) == b).float()
                for a, b in zip(test.split(500), labels.split(500), strict=True)
            ]
        accuracy = 100 * float(torch.cat(right).mean())
        mean = math.fsum(losses) / len(losses)
        rows.append({"epoch": epoch, "loss": mean, "accuracy": accuracy})
        report(epoch / epochs, f"epoch {epoch}: {accuracy:.2f} %")
    return network, pd.DataFrame(rows)
