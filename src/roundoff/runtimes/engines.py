"""Is the engine here, is the image? And what an engine's exit status means."""

import shutil
import subprocess
from pathlib import Path

from roundoff.errors import RoundoffError

INSTALL = {
    "docker": "install Docker (on Debian: apt-get install docker.io)",
    "podman": "install Podman (on Debian: apt-get install podman)",
    "apptainer": "install Apptainer (apptainer.org), or load your cluster's module",
}
MEMORY = (
    "Give it more memory: `snakemake --set-resources 'RULE:mem_mb=16000'`, a profile "
    "with `retries`, or a larger machine"
)
ASK_SECONDS = 120


def require_engine(runtime: str) -> None:
    """Raise `RoundoffError` unless the program of an engine is on the PATH."""
    if shutil.which(runtime) is None:
        raise RoundoffError(
            f"runtime: {runtime} is not on the PATH: {INSTALL[runtime]}, or choose "
            "another `runtime` in config.yaml (host runs without containers)."
        )


def require_image(runtime: str, image: str) -> None:
    """Raise `RoundoffError` unless the engine has the image; nothing is downloaded."""
    if runtime == "apptainer":
        _require_file(image)
        return
    command = [runtime, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RoundoffError(
            f"runtime: {runtime} did not answer within {ASK_SECONDS} s: is its service "
            f"well? Try `{runtime} info`."
        ) from None
    if done.returncode == 0:
        return
    words = done.stderr.strip().splitlines()
    if any("o such image" in line or "not known" in line for line in words):
        raise RoundoffError(_no_image(runtime, image))
    raise RoundoffError(
        f"runtime: {runtime} does not work here: {(words or ['no answer'])[-1]}. Is "
        f"its service running, and may you use it? Try `{runtime} info`."
    )


def _require_file(image: str) -> None:
    scheme, separator, rest = image.partition(":")
    if separator and scheme in ("docker-daemon", "docker", "oras", "library"):
        return  # asked when it is opened
    path = Path(rest.removeprefix("//") if scheme == "docker-archive" else image)
    if not path.exists():
        raise RoundoffError(_no_image("apptainer", image))


def _no_image(runtime: str, image: str) -> str:
    how = "make sif" if runtime == "apptainer" else f"make images ENGINE={runtime}"
    return (
        f"images: {runtime} has no image {image!r}: build it with `{how}` in the "
        "checkout (docs/containers.md), or name another under `images` in config.yaml."
    )


def explain(runtime: str, image: str, status: int, words: str, memory: int | None):
    """One sentence for an exit status that is the engine's and not the command's.

    `words`: the end of what was printed; `memory`: the limit in MB. None for a status
    of the command's own.
    """
    last = next((w for w in reversed(words.splitlines()) if w.strip()), "").strip()
    if status in (137, -9):
        limit = f" (limit {memory} MB)" if memory else ""
        return (
            f"{runtime}: the container was killed (exit 137), most likely because "
            f"memory ran out{limit}. {MEMORY}."
        )
    if status == 125 or (runtime == "apptainer" and status == 255 and "FATAL" in words):
        missing = ("o such image" in words) or ("not known" in words)
        missing |= "could not open image" in words
        if missing:
            return _no_image(runtime, image)
        return f"{runtime}: the container did not start (exit {status}): {last}"
    if status in (126, 127):
        why = "cannot be run" if status == 126 else "is not"
        return (
            f"{runtime}: the command {why} in the image {image!r} (exit {status}): "
            f"{last}. Is it an image of Roundoff? `make images` builds them."
        )
    return None
