"""Run a command in a container to its end, and stop the container with this process."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from roundoff.errors import RoundoffError
from roundoff.runtimes.command import Engine, Limits, wrap
from roundoff.runtimes.engines import explain, require_engine, require_image

GRACE_SECONDS = 10
"""What a container has to end by itself once it was told to."""

KEPT_LINES = 20
_REMOVE_SECONDS = 60


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    runtime: Engine,
    image: str,
    reads: Sequence[Path],
    writes: Sequence[Path],
    limits: Limits | None = None,
    workdir: Path | None = None,
) -> int:
    """Run `command` as `wrap` builds it; its exit status.

    `workdir` must lie in one of `reads` or `writes`; without it the command starts
    where the image says. What is written belongs to the calling user. A signal to this
    process goes to the container, which is removed if it does not end. A container
    that an earlier, killed call with the same `writes` left behind is removed first:
    two would write the same files. Standard output and error pass through. Raises
    `RoundoffError` in one sentence when the engine or the image is missing, the
    container did not start, or it was killed for memory.
    """
    limits = limits or Limits()
    writes = [Path(path).absolute() for path in writes]
    if runtime != "host":
        require_engine(runtime)
        require_image(runtime, image)
        _require_there(reads)
    for folder in writes:
        folder.mkdir(parents=True, exist_ok=True)
    name = container_name(command, writes)
    argv = wrap(
        command,
        env,
        runtime=runtime,
        image=image,
        reads=with_targets(reads),
        writes=writes,
        limits=limits,
        name=name,
        user=(os.getuid(), os.getgid()),
        workdir=workdir and workdir.absolute(),
    )
    _remove(runtime, name)
    status, words = _to_the_end(argv, runtime, name, workdir)
    sentence = explain(runtime, image, status, words, limits.memory_mb)
    if sentence and runtime != "host":
        raise RoundoffError(sentence)
    return status


def container_name(command: Sequence[str], writes: Sequence[Path]) -> str:
    """A name that says whose container it is: the same for the same call."""
    parts = [*map(str, sorted(writes)), *command]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"roundoff-{digest}"


def with_targets(paths: Sequence[Path]) -> list[Path]:
    """The absolute paths, and what they point to where they are links."""
    absolute = [Path(path).absolute() for path in paths]
    return [*absolute, *(r for p in absolute if (r := p.resolve()) != p)]


def _require_there(paths: Sequence[Path]) -> None:
    for path in paths:
        if not Path(path).exists():
            raise RoundoffError(
                f"{path}: there is no such file to give to a container."
            )


def _to_the_end(
    argv: Sequence[str], runtime: str, name: str, workdir: Path | None
) -> tuple[int, str]:
    """Exit status and the last lines of standard error."""
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    with _signals_raise():
        child = subprocess.Popen(
            argv,
            cwd=workdir if runtime == "host" else None,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        copier = threading.Thread(target=_copy, args=(child.stderr, lines), daemon=True)
        copier.start()
        try:
            status = child.wait()
        except BaseException:
            _stop(child, runtime, name)
            raise
    copier.join(timeout=5)
    return status, "".join(lines)


def _copy(stream: IO[str], lines: deque[str]) -> None:
    for line in stream:
        lines.append(line)
        sys.stderr.write(line)
        sys.stderr.flush()


def _stop(child: subprocess.Popen, runtime: str, name: str) -> None:
    """Ask the command to end, wait, then remove it with all it started."""
    child.terminate()
    try:
        child.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _remove(runtime, name)


def _remove(runtime: str, name: str) -> None:
    if runtime not in ("docker", "podman"):
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [runtime, "rm", "--force", name],
            capture_output=True,
            timeout=_REMOVE_SECONDS,
            check=False,
        )


@contextlib.contextmanager
def _signals_raise():
    """SIGTERM ends the block like Ctrl-C does, so that the container is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(*_: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)
