"""Ready-made programs: an archive, checked by its published SHA-256, unpacked."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from roundoff.checksums import require_sha256
from roundoff.data.sources import Source
from roundoff.errors import RoundoffError


def install_release(
    source: Source,
    folder: Path,
    archive: Path | None = None,
    sha256: str | None = None,
) -> None:
    """Unpack a release into `folder`, which appears whole or not at all.

    `archive`: the downloaded file, when there is no network; `sha256`: its checksum.
    Without it the one published beside the archive (address + ".sha256", or the file of
    that name beside a local archive) is required. Raises `RoundoffError` when the
    archive cannot be had, is another one, or holds no `member` of the source.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RoundoffError(f"{folder} is there already; remove it to install anew.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
        file = archive or Path(scratch) / source.file
        if archive is None:
            _download(source.origin, file)
        expected = sha256 or _published(source, archive)
        require_sha256(file, expected, f"data source {source.name!r}, as published")
        content = Path(scratch) / "content"
        content.mkdir()
        _unpack(file, content)
        if not (content / source.member).is_file():
            raise RoundoffError(f"{file}: holds no {source.member}; another archive?")
        content.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.rename(content, folder)


def _published(source: Source, archive: Path | None) -> str:
    """The checksum published beside the archive: first word of its .sha256 file."""
    beside = None if archive is None else Path(f"{archive}.sha256")
    if beside is not None and beside.is_file():
        text = beside.read_text()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "sha256"
            _download(f"{source.origin}.sha256", path)
            text = path.read_text()
    word = (text.split() or [""])[0].lower()
    if len(word) != 64 or set(word) - set("0123456789abcdef"):
        raise RoundoffError(
            f"{source.name}: what is published as its SHA-256 is none ({text[:80]!r}); "
            "give it with --sha256"
        )
    return word


def _download(address: str, path: Path) -> None:
    try:
        with (
            urllib.request.urlopen(address, timeout=60) as answer,
            open(path, "wb") as stream,
        ):
            shutil.copyfileobj(answer, stream)
    except (OSError, urllib.error.URLError) as error:
        raise RoundoffError(
            f"cannot fetch {address} ({error}). On a machine without network, download "
            "it and its .sha256 elsewhere and give --archive FILE."
        ) from None


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RoundoffError(f"{archive}: cannot be unpacked ({error})") from error


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    """The tar stream inside a .tar.zst: by `zstandard`, else by the program zstd."""
    try:
        import zstandard
    except ImportError:
        zstandard = None
    if zstandard is not None:
        with open(archive, "rb") as file:
            yield zstandard.ZstdDecompressor().stream_reader(file)
        return
    program = shutil.which("zstd")
    if program is None:
        raise RoundoffError(
            f"{archive.name} is compressed with zstd: `pip install zstandard`, or "
            "install the program zstd."
        )
    command = [program, "--decompress", "--stdout", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        yield child.stdout
