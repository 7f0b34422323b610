"""How much of the pooler study is computed, and the published numbers."""

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, get_args

from roundoff.config.poolers import Name

if TYPE_CHECKING:
    import pandas as pd

POOLERS: tuple[str, ...] = get_args(Name)
DATASETS = ("mnist", "fashion_mnist", "cifar10")


@dataclass(frozen=True)
class Size:
    """Training images (None: all), epochs, repetitions; samples of the stability."""

    images: int | None
    epochs: int
    seeds: int
    datasets: tuple[str, ...] = DATASETS
    poolers: tuple[str, ...] = POOLERS
    stability_images: int = 64
    samples: int = 10


SIZES = {
    "demo": Size(images=4000, epochs=3, seeds=2),
    "published": Size(images=None, epochs=25, seeds=5, stability_images=256),
}
BATCH, RATE = 64, 1e-3  # Adam, as published


def published() -> "pd.DataFrame":
    """Published test accuracies (%): pooler, temperature, dataset, accuracy."""
    import pandas as pd  # here: planning a workflow reads this file

    return pd.read_csv(
        str(files("roundoff.poolers") / "published.tsv"), sep="\t", comment="#"
    )
