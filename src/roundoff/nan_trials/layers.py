"""Which convolutions are timed: the goals, the usual losers, and series of sizes."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from roundoff.nan_trials.masks import MASKS

Size = Literal["quick", "default", "full"]
MOST_MACS = 64 * 64 * 25 * 256 * 256  # larger layers take seconds a repetition
SHARES = (0.0, 0.25, 0.5, 2 / 3, 0.8, 0.9, 0.95)
PLANES = (32, 64, 128, 256, 512)
CHANNELS = (1, 4, 16, 64, 128)
KERNELS = (1, 3, 5)


@dataclass(frozen=True)
class Layer:
    """A convolution without stride that keeps the size of its input."""

    inputs: int
    outputs: int
    kernel: int
    plane: tuple[int, ...]
    dilation: int = 1
    batch: int = 1

    def __str__(self) -> str:
        size = "x".join(map(str, self.plane))
        extra = f" d{self.dilation}" if self.dilation > 1 else ""
        extra += f" b{self.batch}" if self.batch > 1 else ""
        ways = f"{self.inputs}->{self.outputs}"
        return f"{len(self.plane)}d k{self.kernel} {ways} {size}{extra}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates without skipping."""
        cells = self.kernel ** len(self.plane)
        return self.batch * self.inputs * self.outputs * cells * prod(self.plane)


@dataclass(frozen=True)
class Case:
    """One row to measure; `series` says which panel of the figure it belongs to."""

    series: str
    layer: Layer
    mask: str
    share: float


def square(channels: int, kernel: int, side: int) -> Layer:
    """A two-dimensional layer with as many outputs as inputs."""
    return Layer(channels, channels, kernel, (side, side))


def cube(channels: int, side: int = 96) -> Layer:
    """A three-dimensional 3x3x3 layer."""
    return Layer(channels, channels, 3, (side,) * 3)


GOALS = (
    square(64, 5, 256),
    square(64, 3, 256),
    square(71, 3, 256),
    square(64, 1, 256),
    cube(32),
)
LOSERS = (
    square(1, 3, 256),
    cube(5),
    Layer(21, 21, 3, (64, 64, 64), dilation=8),
    square(64, 3, 32),
)
SERIES = ("shares", "sizes", "channels", "volumes")


def series(name: str, size: Size = "default") -> Iterator[Case]:
    """The rows of one series.

    "shares": one layer, every mask and share of NaN. "sizes", "channels": every size
    of plane, every number of channels, for kernels 1, 3 and 5 at two thirds
    brain-shaped NaN. "volumes": 96^3. "full" crosses sizes, channels, kernels and masks
    instead; "quick" is for a look and for tests.
    """
    if size == "quick":
        yield from _quick(name)
    elif name == "shares":
        kernels = KERNELS if size == "full" else (3,)
        layers = [square(64, kernel, 256) for kernel in kernels]
        yield from (Case(name, y, m, s) for y in layers for m in MASKS for s in SHARES)
    elif name == "sizes":
        sides = PLANES if size == "full" else PLANES[:-1]
        kept = [square(64, k, n) for n in sides for k in KERNELS]
        if size == "default":
            kept += [square(64, k, 512) for k in (1, 3)]
        yield from (Case(name, y, "brain", 2 / 3) for y in kept)
    elif name == "channels":
        yield from _channels(size)
    elif name == "volumes":
        yield from _volumes(size)
    else:
        raise ValueError(f"series must be one of {', '.join(SERIES)}, not {name!r}")


def _channels(size: Size) -> Iterator[Case]:
    if size == "default":
        layers = [square(c, k, 128) for c in CHANNELS for k in KERNELS]
        yield from (Case("channels", y, "brain", 2 / 3) for y in layers)
        return
    for layer in (square(c, k, n) for n in PLANES for c in CHANNELS for k in KERNELS):
        if layer.macs <= MOST_MACS:
            for mask in MASKS:
                for share in SHARES if mask == "brain" else (0.5, 2 / 3, 0.9):
                    yield Case("channels", layer, mask, share)


def _volumes(size: Size) -> Iterator[Case]:
    shares = SHARES if size == "full" else (0.0, 2 / 3, 0.9)
    for channels in (1, 5, 16, 32):
        for share in shares:
            yield Case("volumes", cube(channels), "brain", share)
    yield Case("volumes", LOSERS[2], "brain", 2 / 3)


def _quick(name: str) -> Iterator[Case]:
    layers = {
        "shares": [square(16, 3, 32)],
        "sizes": [square(16, k, n) for n in (16, 32) for k in KERNELS],
        "channels": [square(c, 3, 32) for c in (1, 16)],
        "volumes": [cube(4, 12)],
    }
    shares = (0.0, 2 / 3, 0.9) if name == "shares" else (2 / 3,)
    masks = MASKS if name == "shares" else ("brain",)
    for layer in layers[name]:
        yield from (Case(name, layer, m, s) for m in masks for s in shares)
