"""Names of the functions in a shared library, read from its ELF symbol tables."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roundoff.errors import RoundoffError

SYMTAB, DYNSYM, FUNCTION = 2, 11, 2
SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"),
     ("value", "<u8"), ("size", "<u8")]
)  # fmt: skip


@dataclass(frozen=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int


def function_names(library: Path, pattern: str) -> list[str]:
    """Names of the functions of a 64-bit ELF file that match, sorted.

    `pattern`: a regular expression searched for in the raw (mangled) names, which are
    one text with a zero byte after each: no anchors, and `[^\\0]` for any character.
    Raises `RoundoffError` when the file is no such library.
    """
    search = re.compile(pattern.encode())
    found = set()
    with open(library, "rb") as stream:
        sections = _sections(stream, library)
        for section in sections:
            if section.kind in (SYMTAB, DYNSYM):
                found |= _matching(stream, section, sections[section.link], search)
    return sorted(name.decode() for name in found)


def _sections(stream, library: Path) -> list[_Section]:
    head = stream.read(64)
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        raise RoundoffError(f"{library} is no 64-bit ELF library")
    start = struct.unpack_from("<Q", head, 40)[0]
    size, count = struct.unpack_from("<HH", head, 58)
    stream.seek(start)
    table = stream.read(size * count)
    rows = (struct.unpack_from("<IIQQQQII", table, i * size) for i in range(count))
    return [_Section(r[1], r[4], r[5], r[6]) for r in rows]


def _matching(stream, section: _Section, strings: _Section, search) -> set[bytes]:
    stream.seek(section.offset)
    rows = np.frombuffer(stream.read(section.size), SYMBOL)
    starts = rows["name"][((rows["info"] & 15) == FUNCTION) & (rows["section"] > 0)]
    stream.seek(strings.offset)
    text = stream.read(strings.size)
    # One search over all the text, then the names in each string found: a name can be
    # the tail of another, which linkers store once.
    starts = np.unique(starts)
    found = set()
    for match in search.finditer(text):
        first = text.rfind(b"\0", 0, match.start()) + 1
        stop = text.index(b"\0", match.start())
        inside = starts[np.searchsorted(starts, first) : np.searchsorted(starts, stop)]
        names = (text[start:stop] for start in inside.tolist())
        found |= {name for name in names if search.search(name)}
    return found
