"""The command line that runs a command in a container. Pure: nothing is looked up.

No shell is involved anywhere: every part of the command and of the environment stays
one argument, whatever characters it holds.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from roundoff.errors import RoundoffError
from roundoff.runtimes.inside import ASKED, RECORDED

Engine = Literal["host", "docker", "podman", "apptainer"]
ENGINES = get_args(Engine)


@dataclass(frozen=True)
class Limits:
    """What a container may use; None leaves it to the engine.

    Apptainer needs rights most users lack to limit memory and processors: there the
    limits are those of the job (Slurm, or nobody's), and these are not passed on.
    """

    memory_mb: int | None = None
    cpus: float | None = None


def wrap(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    runtime: Engine,
    image: str,
    reads: Sequence[Path],
    writes: Sequence[Path],
    limits: Limits | None = None,
    name: str | None = None,
    user: tuple[int, int] | None = None,
    workdir: Path | None = None,
) -> list[str]:
    """The arguments that run `command` in `image`, without a network.

    `env`: variables of the command, beside the image's own; `reads`: files and folders
    mounted read-only, `writes`: folders mounted to write in, both absolute and at their
    own place; `name`: of the container, to stop it by; `user`: numbers of the user and
    group who shall own what is written; `workdir`: where the command starts.

    With `host` the command itself, its environment set by env(1). Raises
    `RoundoffError` for an unknown engine, an empty command, or a path no engine can
    mount.
    """
    if runtime not in ENGINES:
        known = ", ".join(ENGINES)
        raise RoundoffError(f"runtime: {runtime!r} is unknown; known: {known}.")
    if not command:
        raise RoundoffError("there is no command to run.")
    told = {ASKED: runtime, RECORDED: f"{runtime}:{image}"}
    variables = [f"{key}={value}" for key, value in {**env, **told}.items()]
    if runtime == "host":
        return ["env", *(f"{k}={v}" for k, v in env.items()), *command]
    if not image or image.startswith("-"):
        raise RoundoffError(f"images: {image!r} is no name of an image.")
    kinds = dict.fromkeys(_outermost(reads), "read")
    kinds |= dict.fromkeys(_outermost(writes), "write")
    # Outer folders first: a mount hides what was mounted below it before.
    mounts = [_mount(p, runtime, kinds[p]) for p in sorted(kinds, key=_depth)]
    if runtime == "apptainer":
        head = ["apptainer", "--quiet", "exec", "--cleanenv", "--contain", "--no-home"]
        head += ["--net", "--network", "none", *mounts]
        head += ["--pwd", str(workdir or "/")]
        return [*head, image, "env", *variables, *command]
    head = [runtime, "run", "--rm", "--init", "--pull", "never", "--network", "none"]
    head += ["--security-opt", "no-new-privileges"]
    head += ["--name", name] if name else []
    head += ["--user", f"{user[0]}:{user[1]}"] if user else []
    # Rootless, Podman's root is the caller; as anybody else nothing could be written.
    head += ["--userns", "keep-id"] if runtime == "podman" and user and user[0] else []
    head += ["--workdir", str(workdir)] if workdir else []
    head += _limit_options(limits or Limits())
    head += [part for variable in variables for part in ("--env", variable)]
    return [*head, *mounts, "--entrypoint", command[0], image, *command[1:]]


def _limit_options(limits: Limits) -> list[str]:
    options = []
    if limits.memory_mb:
        memory = f"{limits.memory_mb}m"
        options += ["--memory", memory, "--memory-swap", memory]
    if limits.cpus:
        options += ["--cpus", f"{limits.cpus:g}"]
    return options


def _mount(path: Path, runtime: str, kind: str) -> str:
    """One --mount option; its value is a CSV line, so commas and quotes are safe."""
    text = str(path)
    if not path.is_absolute() or any(c in text for c in "\n\r\0"):
        raise RoundoffError(
            f"{text!r} cannot be mounted into a container: "
            "the path must be absolute and without line breaks."
        )
    target = "destination" if runtime == "apptainer" else "target"
    fields = ["type=bind", f"source={text}", f"{target}={text}"]
    if kind == "read":
        fields.append("ro" if runtime == "apptainer" else "readonly")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return f"--mount={line.getvalue()}"


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """Without what lies in another folder of the list; outer folders first."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=_depth):
        if not any(path.is_relative_to(outer) for outer in kept):
            kept.append(path)
    return kept


def _depth(path: Path) -> tuple[int, str]:
    return len(path.parts), str(path)
