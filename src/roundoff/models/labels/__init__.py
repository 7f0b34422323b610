"""Tables of what a model's numbers mean."""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from roundoff.errors import RoundoffError


@dataclass(frozen=True)
class Label:
    """One label of a segmentation; `color` is "#rrggbb", as in BIDS `_dseg.tsv`."""

    index: int  # the value in the label map
    name: str
    color: str


@dataclass(frozen=True)
class ClassTable:
    """How a network's class rows become label values.

    `labels[k]` is the label of class k; `sagittal[k]` the class of a network without
    sides (the sagittal view cannot tell left from right) that stands for class k.
    """

    labels: tuple[Label, ...]
    sagittal: tuple[int, ...] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The label value of each class."""
        return tuple(label.index for label in self.labels)

    @property
    def sagittal_classes(self) -> int:
        """Number of classes of the network without sides."""
        return len(self) if self.sagittal is None else 1 + max(self.sagittal)

    def __len__(self) -> int:
        return len(self.labels)


def load_label_table(name: str) -> tuple[Label, ...]:
    """The labels of a table in this folder, or of a file of the user's (.tsv).

    Columns: `index` (label value), `name`, and `color` or `red`, `green`, `blue`. In a
    class table `index` counts the network's classes and `id` is the label value.
    Raises RoundoffError naming the table, row and column that is wrong.
    """
    return load_class_table(name).labels


@cache
def load_class_table(name: str) -> ClassTable:
    """A table in class order, with the optional column `sagittal_index`."""
    rows = _rows(name)
    if not rows:
        raise RoundoffError(f"label table {name!r} has no rows")
    labels = tuple(_label(row, name, number) for number, row in enumerate(rows, 2))
    ids = [label.index for label in labels]
    if len(set(ids)) < len(ids):
        twice = sorted({i for i in ids if ids.count(i) > 1})
        raise RoundoffError(f"label table {name!r}: values {twice} occur twice")
    sagittal = None
    if "sagittal_index" in rows[0]:
        sagittal = tuple(
            _integer(row, "sagittal_index", name, number)
            for number, row in enumerate(rows, 2)
        )
    return ClassTable(labels, sagittal)


def table_names() -> list[str]:
    """The names of the tables in this folder."""
    folder = files("roundoff.models.labels")
    return sorted(p.name[:-4] for p in folder.iterdir() if p.name.endswith(".tsv"))


def _rows(name: str) -> list[dict[str, str]]:
    if name.endswith(".tsv"):
        path = Path(name)
        if not path.is_file():
            raise RoundoffError(f"label table: no file {name}")
        text = path.read_text("utf-8")
    elif name in table_names():
        text = files("roundoff.models.labels").joinpath(f"{name}.tsv").read_text()
    else:
        near = difflib.get_close_matches(name, table_names(), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise RoundoffError(
            f"labels: no label table is called {name!r}. {hint}"
            f"Known: {', '.join(table_names())}, or the path of a .tsv file."
        )
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def _label(row: dict[str, str], table: str, number: int) -> Label:
    index = _integer(row, "id" if "id" in row else "index", table, number)
    if not row.get("name"):
        raise RoundoffError(f"label table {table!r}, line {number}: no name")
    color = row.get("color")
    if color is None:
        rgb = (_integer(row, part, table, number) for part in ("red", "green", "blue"))
        color = "#" + "".join(f"{value:02x}" for value in rgb)
    return Label(index, row["name"], color)


def _integer(row: dict[str, str], column: str, table: str, number: int) -> int:
    try:
        return int(row[column])
    except (KeyError, TypeError, ValueError):
        raise RoundoffError(
            f"label table {table!r}, line {number}: column {column!r} holds "
            f"{row.get(column)!r}, expected a whole number"
        ) from None
