"""How much is computed: a demonstration, or what was published."""

from collections.abc import Iterator
from dataclasses import dataclass

BASE = {"layers": 3, "width": 256, "batch": 256}
AXES = {
    "layers": (1, 2, 3, 5, 6),
    "width": (16, 64, 256, 512, 1024),
    "batch": (16, 64, 256, 512, 1024),
}
PRECISIONS = ("float16", "bfloat16", "float32", "float64")
DATASETS = {
    "mlp256": "mnist",
    "mlp2048": "mnist",
    "mlp2048_bn": "mnist",
    "bare_cnn": "mnist",
    "vgg11": "cifar10",
    "vgg11_bn": "cifar10",
    "resnet18": "cifar10",
    "resnet18_bn": "cifar10",
}  # by network
SLOPES = (0.0, 0.5, 1.0, 10.0, 50.0)
PUBLISHED_SLOPES = (*(i / 10 for i in range(11)), 2.0, 10.0, 50.0)


@dataclass(frozen=True)
class Learning:
    """Training runs of one network: the same start for every s."""

    network: str
    slopes: tuple[float, ...] = SLOPES
    seeds: int = 2
    epochs: int = 2
    batch: int = 128
    images: int = 60_000
    optimizer: str = "sgd"
    trials: int = 6  # of the search for the learning rate, with s = 0
    trial_images: int = 10_000
    variants: tuple[str, ...] = ("correct", "published")


@dataclass(frozen=True)
class Size:
    """All counts of the study; `rounding_images` by precision."""

    draws: int
    draws_float64: int
    rounding_draws: int
    rounding_images: tuple[tuple[str, int], ...]
    surprise_iterations: int
    surprise_seeds: int
    networks: tuple[str, ...]
    network_draws: int
    network_batches: int
    learning: tuple[Learning, ...]


def _published_learning(network: str, optimizer: str = "sgd") -> Learning:
    return Learning(
        network, PUBLISHED_SLOPES, 5, 200, 128, 60_000, optimizer, 50, 60_000
    )


SIZES = {
    "demo": Size(
        draws=200,
        draws_float64=10,
        rounding_draws=30,
        rounding_images=(
            ("float16", 15_360),
            ("bfloat16", 60_000),
            ("float32", 60_000),
            ("float64", 5_120),
        ),
        surprise_iterations=469,
        surprise_seeds=1,
        networks=(),
        network_draws=3,
        network_batches=40,
        learning=(
            Learning("mlp256"),
            Learning("bare_cnn", (0.0, 1.0, 50.0), seeds=1, images=10_000),
        ),
    ),
    "published": Size(
        draws=1000,
        draws_float64=1000,
        rounding_draws=1000,
        rounding_images=tuple((p, 60_000) for p in PRECISIONS),
        surprise_iterations=469,
        surprise_seeds=10,
        networks=("vgg11", "vgg11_bn", "resnet18", "resnet18_bn"),
        network_draws=100,
        network_batches=391,
        learning=(
            _published_learning("mlp2048"),
            _published_learning("mlp2048_bn"),
            _published_learning("vgg11", "adam"),
            _published_learning("vgg11_bn", "adam"),
            _published_learning("resnet18"),
            _published_learning("resnet18_bn"),
        ),
    ),
}


@dataclass(frozen=True)
class Cell:
    """One point of a table: a network's shape and the batch size."""

    layers: int
    width: int
    batch: int


def cells(axis: str) -> Iterator[tuple[int, Cell]]:
    """The points along an axis: its value there, and the cell."""
    for value in AXES[axis]:
        yield value, Cell(**(BASE | {axis: value}))


def axes_of(precision: str) -> tuple[str, ...]:
    """The axes a precision is measured along: batch where it was published."""
    every = precision in ("float16", "float32")
    return tuple(axis for axis in AXES if every or axis != "batch")


def chunks(draws: int, size: int) -> list[str]:
    """Labels of jobs of at most `size` draws: "0000-0049", "0050-0099", ..."""
    starts = range(0, draws, size)
    return [f"{s:04d}-{min(s + size, draws) - 1:04d}" for s in starts]


def draws_of(chunk: str) -> range:
    """The numbers of the draws in a chunk."""
    first, last = (int(part) for part in chunk.split("-"))
    return range(first, last + 1)


def learning_of(size: str, network: str) -> Learning:
    """The training runs of a network at a size."""
    return next(runs for runs in SIZES[size].learning if runs.network == network)
