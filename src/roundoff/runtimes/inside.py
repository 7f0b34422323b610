"""Where a process runs: on the host or in a container, told by marks nobody forgets.

The images carry a file; each engine leaves its own mark. A process that was sent into
a container is told so in `ROUNDOFF_RUNTIME`, and refuses to run anywhere else: a job
that quietly ran on the host would be another experiment.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roundoff import __version__
from roundoff.errors import RoundoffError

ASKED = "ROUNDOFF_RUNTIME"
"""Variable that names the engine a process was sent to."""

RECORDED = "ROUNDOFF_CONTAINER"
"""Variable that names engine and image for the sidecars."""

VERSION = "ROUNDOFF_VERSION"
"""Variable that names the version of Roundoff that sent the process."""

IMAGE_FILE = Path("/opt/roundoff/image.json")
MARKS = {"docker": "/.dockerenv", "podman": "/run/.containerenv"}
APPTAINER = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
APPTAINER_FOLDER = "/.singularity.d"


def engine_here(
    environment: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> str:
    """The engine this process runs under: docker, podman, apptainer, or host.

    A variable alone may have been inherited, so Apptainer's folder or the file of an
    image must be there too.
    """
    folder = (root / APPTAINER_FOLDER.lstrip("/")).is_dir() or image_here(root)
    if folder and any(environment.get(name) for name in APPTAINER):
        return "apptainer"
    for engine, mark in MARKS.items():
        if (root / mark.lstrip("/")).exists():
            return engine
    return "host"


def require_place(
    environment: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> None:
    """Raise `RoundoffError` unless this process runs where it was sent."""
    asked = environment.get(ASKED, "host")
    if asked == "host":
        return
    here = engine_here(environment, root)
    if here != asked:
        raise RoundoffError(
            f"this job was sent into a container ({asked}) but runs "
            f"{'on the host' if here == 'host' else 'in ' + here}: the container was "
            "not started. With Snakemake, give --software-deployment-method apptainer "
            "(or --workflow-profile profiles/apptainer)."
        )
    if not image_here(root):
        raise RoundoffError(
            f"this job runs in a container ({here}) that is no image of Roundoff "
            f"({IMAGE_FILE} is missing): build one with `make images`."
        )
    sender = environment.get(VERSION, __version__)
    if sender != __version__:
        raise RoundoffError(
            f"the image holds Roundoff {__version__}, but the job was sent by version "
            f"{sender}: build the image again with `make images`."
        )


def image_here(root: Path = Path("/")) -> dict[str, str]:
    """What the image says of itself (image, version, revision); empty on the host."""
    path = root / str(IMAGE_FILE).lstrip("/")
    return json.loads(path.read_text()) if path.is_file() else {}


def describe_place() -> dict[str, Any]:
    """Engine and image, for the record."""
    return {"runtime": engine_here(), **image_here()}
