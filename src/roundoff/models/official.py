"""Fetch official weights: `python -m roundoff.models.official fastsurfer`.

Prints the entry for `custom_models` of config.yaml, with the checksums to pin.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from roundoff.checksums import require_sha256, sha256_of_file
from roundoff.errors import RoundoffError


@dataclass(frozen=True)
class OfficialFile:
    """One published file of a model: its role, name, addresses and what is known."""

    role: str
    file: str
    urls: Sequence[str]
    bytes: int | None = None
    sha256: str | None = None


def official_files(model: str) -> tuple[OfficialFile, ...]:
    """The files of a model of the registry. Raises RoundoffError if none is known."""
    table = _table()
    if model not in table:
        raise RoundoffError(
            f"{model}: no official files are listed. Known: {', '.join(table)}."
        )
    entries = table[model]["files"].items()
    return tuple(OfficialFile(role=role, **entry) for role, entry in entries)


def fetch_official(
    model: str, folder: Path, pinned: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Put the files of a model into `folder` and check them; role to path.

    Files already there are checked and kept. `pinned` gives checksums by role.
    Raises RoundoffError when no address serves a file or a size or checksum differs.
    """
    pinned = pinned or {}
    paths = {}
    for file in official_files(model):
        paths[file.role] = folder / file.file
        expected = pinned.get(file.role, file.sha256)
        _fetch(file, paths[file.role], expected)
    return paths


@cache
def _table() -> dict[str, Any]:
    text = files("roundoff.models").joinpath("official.yaml").read_text("utf-8")
    return yaml.safe_load(text)


def _fetch(file: OfficialFile, path: Path, sha256: str | None) -> None:
    import pooch

    reasons = []
    for url in file.urls if not path.exists() else ():
        try:
            # Pooch downloads to a temporary name and renames when the file is whole.
            pooch.retrieve(url, known_hash=None, fname=path.name, path=path.parent)
            break
        except (OSError, ValueError) as error:
            reasons.append(f"{url}: {error}")
    if not path.exists():
        raise RoundoffError(
            f"{file.file} could not be fetched. Download it in a browser and put it at "
            f"{path}.\n" + "\n".join(reasons)
        )
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise RoundoffError(
            f"{path} has {size} bytes, the published file has {file.bytes}: it is cut "
            "short or another version. Delete it and fetch it again."
        )
    if sha256 is not None:
        require_sha256(path, sha256, f"official weights, {file.role}")


def config_entry(model: str, paths: Mapping[str, Path]) -> str:
    """YAML for `custom_models`: where the files are, and their checksums."""
    entry = {
        "weights": {role: str(path) for role, path in paths.items()},
        "sha256": {role: sha256_of_file(path) for role, path in paths.items()},
    }
    return yaml.safe_dump({"custom_models": {model: entry}}, sort_keys=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help=", ".join(_table()))
    parser.add_argument("--folder", type=Path, help="where to put the files")
    options = parser.parse_args(arguments)
    try:
        official_files(options.model)
        folder = options.folder or Path(_table()[options.model]["folder"])
        paths = fetch_official(options.model, folder)
    except RoundoffError as error:
        print(error, file=sys.stderr)
        return 2
    print(config_entry(options.model, paths), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
