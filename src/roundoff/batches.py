"""Several samples computed by one job, where a study is too large for a job each.

A batch keeps finished samples aside until all are there, so a batch that is killed goes
on where it was; its files appear together, one set per sample, as if each had been a
job of its own.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roundoff.atomic import atomic_path, write_json, write_text
from roundoff.checksums import sha256_of_file
from roundoff.errors import RoundoffError
from roundoff.inference import software_versions
from roundoff.layout import sample_label

PLENTY = 5000
"""Samples in a study from which on they are computed in batches."""
LARGEST = 10
"""Samples in a batch, unless the configuration says otherwise."""


@dataclass(frozen=True)
class Batch:
    """Samples of one role that one job computes; `samples` are their labels."""

    label: str
    samples: tuple[str, ...]

    @property
    def span(self) -> str:
        """First and last sample, for names of rules and logs."""
        return f"{self.label}_{self.samples[0]}-{self.samples[-1]}"


def batch_size(wanted: int | None, samples: int) -> int:
    """Samples per job: as wanted, or as many as a study of `samples` makes sensible."""
    if wanted is not None:
        return wanted
    return LARGEST if samples > PLENTY else 1


def batches(samples: Mapping[str, int], size: int) -> list[Batch]:
    """Cut the samples of every role (label to number) into batches of `size`."""
    return [
        Batch(label, tuple(map(sample_label, range(i, min(i + size, number + 1)))))
        for label, number in samples.items()
        for i in range(1, number + 1, size)
    ]


@dataclass(frozen=True)
class Task:
    """One sample of a batch: its command, what it reads and what it gives."""

    command: Sequence[str]  # {folder} stands where outputs go
    inputs: Sequence[Path]
    outputs: Sequence[Path]  # where they belong in the end
    log: Path
    benchmark: Path


def run_batch(tasks: Sequence[Task], aside: Path) -> None:
    """Compute every task not yet done in `aside`, then put all outputs in place.

    Each task runs as a process of its own, so memory and state never pass from one
    sample to the next. Raises `RoundoffError` naming the log of a task that failed,
    after trying the others.
    """
    failed = []
    for number, task in enumerate(tasks, 1):
        folder = aside / f"{number:03d}"
        print(f"sample {number} of {len(tasks)}: ", end="", file=sys.stderr)
        if is_done(task, folder):
            print("done before", file=sys.stderr)
        elif compute(task, folder):
            print("done", file=sys.stderr, flush=True)
        else:
            print(f"failed, see {task.log}", file=sys.stderr, flush=True)
            failed.append(task)
    if failed:
        logs = ", ".join(str(task.log) for task in failed)
        raise RoundoffError(f"{len(failed)} of {len(tasks)} samples failed: {logs}")
    for number, task in enumerate(tasks, 1):
        put_in_place(task, aside / f"{number:03d}")
    shutil.rmtree(aside)


def is_done(task: Task, folder: Path) -> bool:
    """Whether `folder` holds whole outputs of this very task."""
    try:
        note = json.loads((folder / "done.json").read_text())
        return note == {"task": _identity(task), "outputs": _sums(task, folder)}
    except (OSError, ValueError):
        return False


def compute(task: Task, folder: Path) -> bool:
    """Run a task into `folder`; note its time and memory; tell whether it succeeded."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    task.log.parent.mkdir(parents=True, exist_ok=True)
    command = [part.replace("{folder}", str(folder)) for part in task.command]
    start = time.monotonic()
    with task.log.open("w") as stream:
        child = subprocess.Popen(command, stderr=stream, preexec_fn=_die_with_parent)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        with task.log.open("a") as stream:
            print(f"ended with status {child.returncode}", file=stream)
        return False
    _write_benchmark(task.benchmark, time.monotonic() - start, usage)
    write_json(
        folder / "done.json",
        {"task": _identity(task), "outputs": _sums(task, folder)},
    )
    return True


def put_in_place(task: Task, folder: Path) -> None:
    """Give the outputs in `folder` their places, keeping the copies aside."""
    for output in task.outputs:
        with atomic_path(output) as temporary:
            temporary.unlink(missing_ok=True)
            os.link(folder / output.name, temporary)
            os.utime(temporary)


def _identity(task: Task) -> str:
    """A checksum of the command, of the content it reads, of the software."""
    content = [
        list(task.command),
        [sha256_of_file(path) for path in task.inputs],
        software_versions(),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _sums(task: Task, folder: Path) -> dict[str, str]:
    return {o.name: sha256_of_file(folder / o.name) for o in task.outputs}


def _write_benchmark(path: Path, seconds: float, usage) -> None:
    """The columns of Snakemake's benchmark files that are known here."""
    clock = time.strftime("%H:%M:%S", time.gmtime(seconds))
    columns = {
        "s": f"{seconds:.4f}",
        "h:m:s": clock.lstrip("0") or "0",
        "max_rss": f"{usage.ru_maxrss / 1024:.2f}",
        "cpu_time": f"{usage.ru_utime + usage.ru_stime:.2f}",
    }
    write_text(path, "\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n")


def _die_with_parent() -> None:
    """Linux: a sample shall not outlive its batch and write beside the next attempt."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
