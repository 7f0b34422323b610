"""Image classification data sets: fetched once, checked, kept as one file each.

from roundoff.data.classification import load_mnist

mnist = load_mnist()
mnist.train.images  # (60000, 1, 28, 28) uint8
"""

from roundoff.data.classification.load import (
    ClassificationData,
    Split,
    load_cifar10,
    load_cifar100,
    load_dataset,
    load_fashion_mnist,
    load_mnist,
    load_svhn,
)

__all__ = [
    "ClassificationData",
    "Split",
    "load_cifar10",
    "load_cifar100",
    "load_dataset",
    "load_fashion_mnist",
    "load_mnist",
    "load_svhn",
]
