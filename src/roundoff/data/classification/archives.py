"""Members of the archives data sets come in: tar, Debian package, plain files."""

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from roundoff.errors import RoundoffError

AR_MAGIC, AR_HEADER = b"!<arch>\n", 60


def read_members(paths: Sequence[Path], wanted: Sequence[str]) -> dict[str, bytes]:
    """Contents of the `wanted` members (base names), un-gzipped, from archives.

    `paths`: tar archives, Debian packages, or the members themselves, `.gz` or not.
    Raises `RoundoffError` naming what is missing or damaged.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            found |= _read(path, set(wanted))
        except (OSError, EOFError, tarfile.TarError, ValueError) as error:
            raise RoundoffError(
                f"{path}: cannot be read ({error}). Delete it and fetch it again."
            ) from error
    missing = [name for name in wanted if name not in found]
    if missing:
        where = ", ".join(str(path) for path in paths)
        raise RoundoffError(f"{where}: lacks {', '.join(missing)}.")
    return found


def _read(path: Path, wanted: set[str]) -> dict[str, bytes]:
    if path.suffix == ".deb":
        return _from_tar(io.BytesIO(_debian_data(path)), wanted)
    if path.name.endswith((".tgz", ".tar.gz", ".tar")):
        with open(path, "rb") as stream:
            return _from_tar(stream, wanted)
    name = _plain(path.name)
    return {name: _unzipped(path.name, path.read_bytes())} if name in wanted else {}


def _from_tar(stream, wanted: set[str]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=stream) as bundle:
        for entry in bundle:
            base = entry.name.rsplit("/", 1)[-1]
            if entry.isfile() and _plain(base) in wanted:
                found[_plain(base)] = _unzipped(base, bundle.extractfile(entry).read())
    return found


def _debian_data(path: Path) -> bytes:
    """The `data.tar.*` of a Debian package, an `ar` archive of three members."""
    content = path.read_bytes()
    if not content.startswith(AR_MAGIC):
        raise ValueError("not a Debian package")
    start = len(AR_MAGIC)
    while start + AR_HEADER <= len(content):
        header = content[start : start + AR_HEADER]
        size = int(header[48:58])
        start += AR_HEADER
        if header.startswith(b"data.tar"):
            return content[start : start + size]
        start += size + size % 2
    raise ValueError("a Debian package without data.tar")


def _plain(name: str) -> str:
    return name.removesuffix(".gz")


def _unzipped(name: str, content: bytes) -> bytes:
    return gzip.decompress(content) if name.endswith(".gz") else content
