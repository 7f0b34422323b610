"""One row per subject, model and instrument: samples asked, done, failed, and why."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median

import pandas as pd

from roundoff import layout
from roundoff.models.base import ModelSpec
from roundoff.status.reasons import NO_WORD, last_error

COLUMNS = [
    "subject", "model", "instrument", "asked", "done", "failed", "running", "waiting",
    "aggregated", "why", "last", "seconds", "peak_memory_mb",
]  # fmt: skip
LOGS, TIMES = "results/logs", "results/benchmarks"


@dataclass(frozen=True)
class Job:
    """What a job left behind: state, reason, end, seconds, peak memory in MB."""

    state: str  # done, failed, running, waiting
    why: str = ""
    ended: float | None = None
    seconds: float | None = None
    memory: float | None = None


def collect(
    models: Mapping[str, ModelSpec],
    subjects: list[str],
    instruments: Mapping[str, int],
    measured: str,
    running: bool = False,
    home: Path = Path(),
) -> pd.DataFrame:
    """The status of every subject, model and instrument, from the files below `home`.

    `instruments`: label to number of samples asked. `measured`: the label that is
    aggregated. `running`: whether a run is under way, so that a started job without an
    error is running and not dead. Columns: `COLUMNS`; times in seconds (median over
    samples), `last` as local ISO time.
    """
    look = partial(_job, home=home, running=running)
    canaries = {i: look([layout.canary_file(i)], f"canary/{i}") for i in instruments}
    rows = []
    for subject in subjects:
        for spec in models.values():
            scan = _scan(subject, spec, look)
            control = [layout.control_file(spec.name, subject)]
            check = look(control, f"check_control/{spec.name}/sub-{subject}")
            for label, asked in instruments.items():
                after = check
                if label == measured and check.state != "failed":
                    after = _aggregation(spec, subject, measured, look)
                # Images may be deleted once they are aggregated (keep_samples).
                kept = after.state != "done"
                jobs = [
                    _sample(spec, subject, label, i + 1, look, images=kept)
                    for i in range(asked)
                ]
                before = (scan, canaries[label])
                rows.append(_row(subject, spec.name, label, before, jobs, after))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(subject, model, label, before, jobs: list[Job], after: Job) -> dict:
    done = [j for j in jobs if j.state == "done"]
    number = {s: sum(j.state == s for j in jobs) for s in ("failed", "running")}
    reasons = [j.why for j in (*before, *jobs, after) if j.state == "failed"]
    ends = [j.ended for j in (*jobs, after) if j.ended]
    return {
        "subject": subject,
        "model": model,
        "instrument": label,
        "asked": len(jobs),
        "done": len(done),
        **number,
        "waiting": len(jobs) - len(done) - sum(number.values()),
        "aggregated": after.state if after.state != "waiting" else "no",
        "why": reasons[0] if reasons else "",
        "last": _time(max(ends)) if ends else "",
        "seconds": _middle([j.seconds for j in done]),
        "peak_memory_mb": _most([j.memory for j in done]),
    }


def _sample(spec, subject, label, index: int, look, images: bool) -> Job:
    run = layout.sample_label(index)
    files = layout.sample_files(spec, subject, label, run) if images else {}
    sidecars = layout.sample_sidecars(spec, subject, label, run)
    name = f"infer/{spec.name}/sub-{subject}_{label}_{run}"
    return look([*files.values(), *sidecars.values()], name)


def _scan(subject, spec, look: Callable[..., Job]) -> Job:
    name = f"conform/sub-{subject}_res-{layout.grid_label(spec.grid)}"
    return look([layout.conformed(subject, spec.grid)], name)


def _aggregation(spec, subject, measured, look: Callable[..., Job]) -> Job:
    files = layout.uncertainty_files(spec, subject, measured)
    return look(files.values(), f"uncertainty/{spec.name}/sub-{subject}")


def _job(outputs, name: str, home: Path, running: bool) -> Job:
    paths = [home / p for p in outputs]
    log = home / LOGS / f"{name}.log"
    if paths and all(p.is_file() for p in paths):
        seconds, memory = _measured(home / TIMES / f"{name}.tsv")
        ended = max(p.stat().st_mtime for p in paths)
        return Job("done", "", ended, seconds, memory)
    if not log.is_file():
        return Job("waiting")
    why, ended = last_error(log), log.stat().st_mtime
    if why is None and running:
        return Job("running", "", ended)
    return Job("failed", why or NO_WORD, ended)


def _measured(benchmark: Path) -> tuple[float | None, float | None]:
    """Seconds and peak resident memory (MB) of a finished job."""
    if not benchmark.is_file():
        return None, None
    with open(benchmark, newline="") as stream:
        row = next(csv.DictReader(stream, delimiter="\t"), {})
    return _number(row.get("s")), _number(row.get("max_rss"))


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _middle(values) -> float | None:
    known = [v for v in values if v is not None]
    return round(median(known), 1) if known else None


def _most(values) -> float | None:
    known = [v for v in values if v is not None]
    return round(max(known)) if known else None


def _time(stamp: float) -> str:
    return datetime.fromtimestamp(stamp).isoformat(timespec="seconds")
