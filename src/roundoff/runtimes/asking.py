"""What a run of the workflow asked for: engine and image, checked before any job."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roundoff import __version__
from roundoff.errors import RoundoffError
from roundoff.runtimes.engines import require_engine, require_image
from roundoff.runtimes.inside import ASKED, RECORDED, VERSION
from roundoff.runtimes.scripts import IMAGE, SEND_TO

if TYPE_CHECKING:
    from roundoff.config import Config
    from roundoff.config.models import Subject

BIND = "APPTAINER_BIND"
FLAG = "--software-deployment-method apptainer"


@dataclass(frozen=True)
class Asked:
    """Where the jobs of a run are computed."""

    runtime: str
    image: str

    def check(self) -> None:
        """Raise `RoundoffError` unless the engine and the image are here."""
        if self.runtime != "host":
            require_engine(self.runtime)
            require_image(self.runtime, self.image)
        if self.runtime == "apptainer" and len(self.image.split()) > 1:
            raise RoundoffError(
                f"images: Snakemake cannot start {self.image!r}, because of the space "
                "in its path; move or link the image to a path without one."
            )

    def environment(self, reads: Iterable[str | Path] = ()) -> dict[str, str]:
        """What the jobs' environment must say.

        Under Apptainer Snakemake itself starts the container, so the jobs are told
        where they must find themselves, and the folders of `reads` are mounted
        read-only; otherwise the jobs are told where to send samples.
        """
        if self.runtime == "host":
            return {}
        if self.runtime == "apptainer":
            place = f"apptainer:{self.image}"
            told = {ASKED: "apptainer", RECORDED: place, VERSION: __version__}
            return told | {BIND: bind_list(reads, os.environ.get(BIND, ""))}
        return {SEND_TO: self.runtime, IMAGE: self.image}


def files_of_user(
    config: "Config", subjects: Mapping[str, "Subject"], models: Mapping[str, Any]
) -> list[Path]:
    """What jobs read that may lie anywhere: scans, weights, data sets, tables."""
    scans = [subject.path for subject in subjects.values() if subject.path]
    weights = [path for spec in models.values() for path in spec.weights.values()]
    tables = Path(config.published_folder) / "any"
    found = [Path(path) for path in (*scans, *weights, *config.datasets.values())]
    return [*found, *([tables] if tables.parent.is_dir() else [])]


def bind_list(reads: Iterable[str | Path], given: str = "") -> str:
    """APPTAINER_BIND: `given`, and the folders of `reads` outside the working folder.

    Raises `RoundoffError` for a name that Apptainer's list cannot hold.
    """
    here = Path.cwd().resolve()
    files = [Path(path).absolute() for path in reads]
    folders = {p.parent for file in files for p in (file, file.resolve())}
    parts = [given] if given else []
    for folder in sorted(folders):
        if folder.is_relative_to(here):
            continue
        if {",", ":"} & set(str(folder)):
            raise RoundoffError(
                f"{folder}: Apptainer cannot mount a folder with a comma or colon in "
                "its name here; rename it, or link to its files from another."
            )
        if f"{folder}:{folder}:ro" not in given.split(","):
            parts.append(f"{folder}:{folder}:ro")
    return ",".join(parts)


def asked_runtime(config: "Config", deployment: Iterable[str], checkout: Path) -> Asked:
    """What the configuration and Snakemake's options ask for together.

    `deployment`: names of Snakemake's software deployment methods; `checkout`: folder
    of the images `make sif` builds. Raises `RoundoffError` where the two differ: the
    jobs would silently run on the host.
    """
    flagged = "apptainer" in set(deployment)
    runtime = config.runtime
    if runtime == "apptainer" and not flagged:
        raise RoundoffError(
            f"runtime: apptainer needs {FLAG}; without it every job would run on "
            "the host. `snakemake --workflow-profile profiles/apptainer` sets it."
        )
    if flagged and runtime in ("docker", "podman"):
        raise RoundoffError(
            f"runtime: {runtime} and {FLAG} exclude each other; choose one."
        )
    if flagged:
        runtime = "apptainer"
    return Asked(runtime, _image(config, runtime, checkout))


def _image(config: "Config", runtime: str, checkout: Path) -> str:
    if runtime == "host":
        return ""
    verrou = config.instrument == "verrou"
    folder = "roundoff-verrou" if verrou else "roundoff"
    chosen = config.images.verrou if verrou else config.images.roundoff
    if chosen:
        return chosen
    if runtime == "apptainer":
        return str(checkout / "containers" / folder / f"{folder}.sif")
    return f"{folder}:{__version__}"
