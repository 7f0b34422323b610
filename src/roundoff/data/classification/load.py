"""Loading a converted data set: uint8 arrays for training and test."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundoff.data.classification.tables import require_known
from roundoff.errors import RoundoffError

FOLDER = "resources/datasets"


class Split(NamedTuple):
    """`images` (N, C, H, W) uint8; `labels` (N,) uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class ClassificationData(NamedTuple):
    """A data set: its training and its test part."""

    train: Split
    test: Split


def dataset_path(dataset: str) -> str:
    """Where the workflow keeps the converted data set."""
    return f"{FOLDER}/{dataset}.safetensors"


def load_dataset(dataset: str, path: str | Path | None = None) -> ClassificationData:
    """The data set of that name, from `path` or where the workflow keeps it.

    Raises `RoundoffError` that names the command which fetches it, if it is missing.
    """
    from safetensors.numpy import load_file

    require_known(dataset)
    path = Path(path or dataset_path(dataset))
    if not path.is_file():
        raise RoundoffError(
            f"there is no {path}. Fetch {dataset} with\n"
            f"  snakemake --cores 1 -- {dataset_path(dataset)}"
        )
    arrays = load_file(path)
    return ClassificationData(
        *(
            Split(arrays[f"{s}_images"], arrays[f"{s}_labels"])
            for s in ("train", "test")
        )
    )


def load_mnist(path: str | Path | None = None) -> ClassificationData:
    """MNIST: 60,000 + 10,000 digits, images (N, 1, 28, 28) uint8, 10 classes."""
    return load_dataset("mnist", path)


def load_fashion_mnist(path: str | Path | None = None) -> ClassificationData:
    """Fashion-MNIST: 60,000 + 10,000 garments, images (N, 1, 28, 28), 10 classes."""
    return load_dataset("fashion_mnist", path)


def load_cifar10(path: str | Path | None = None) -> ClassificationData:
    """CIFAR-10: 50,000 + 10,000 photographs, images (N, 3, 32, 32), 10 classes."""
    return load_dataset("cifar10", path)


def load_cifar100(path: str | Path | None = None) -> ClassificationData:
    """CIFAR-100: 50,000 + 10,000 photographs, (N, 3, 32, 32), 100 fine classes."""
    return load_dataset("cifar100", path)


def load_svhn(path: str | Path | None = None) -> ClassificationData:
    """SVHN: 73,257 + 26,032 house numbers, images (N, 3, 32, 32), 10 classes."""
    return load_dataset("svhn", path)
