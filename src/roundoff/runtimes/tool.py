"""Any command under Verrou: the official tools, as they lie in their images.

Perturbation acts from the start of the command to its end, in all its processes, as in
the published FastSurfer experiment: a program we did not write cannot switch it on
around its numbers. Needs Python 3.10 and NumPy only, so that a tool's own Python does.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from roundoff.atomic import write_json
from roundoff.errors import RoundoffError
from roundoff.instruments import exclusions
from roundoff.instruments.counters import Log, parse_log
from roundoff.instruments.installation import clean_environment, find_valgrind
from roundoff.instruments.verrou import Settings, canonical_mode, verrou_command

LIBRARIES = ("torch", "tensorflow", "numpy", "scipy.special")
"""Imported where they are there, so that their libraries are known and left out."""

SUM = """
try:
    import torch
    terms = torch.full((200000,), 0.1)
    place = torch.zeros(len(terms), dtype=torch.int64)
    print(float(torch.zeros(1).index_add_(0, place, terms)))
except ImportError:
    import numpy
    print(float(numpy.cumsum(numpy.full(200000, 0.1, "float32"))[-1]))
"""


def run_tool(
    command: Sequence[str],
    *,
    mode: str,
    seed: int,
    stem: Path,
    libraries: Iterable[str] | None = None,
    valgrind: str = "valgrind",
) -> dict[str, Any]:
    """Run a command under Verrou; the record, also kept as `<stem>_verrou.json`.

    `stem`: of the files kept (record, exclusion file, logs of all processes). Raises
    `RoundoffError` when Verrou is missing, the command failed, or nothing in it was
    perturbed: its output would look perfectly stable.
    """
    found = find_valgrind(valgrind)
    loaded = _load(LIBRARIES if libraries is None else libraries)
    rules = exclusions.exclusion_rules(exclusions.loaded_libraries(), (), True)
    stem.parent.mkdir(parents=True, exist_ok=True)
    exclusion_file = stem.with_name(f"{stem.name}_exclusions.txt")
    exclusions.write_rules(rules, exclusion_file)
    log = stem.with_name(f"{stem.name}_valgrind.log").absolute()
    for old in log.parent.glob(f"{log.name}.*"):
        old.unlink()
    built = verrou_command(
        command,
        Settings(mode=mode, numpy="perturbed"),
        seed,
        valgrind=found,
        exclusions=exclusion_file.absolute(),
        log=log,
        at_start=True,
    )
    status = subprocess.call(built.argv, env=clean_environment(os.environ) | built.env)
    logs = [
        parse_log(path.read_text(errors="replace"))
        for path in sorted(log.parent.glob(f"{log.name}.*"))
    ]
    _require_good(command, status, logs)
    record = {
        "Command": list(command),
        "Mode": canonical_mode(mode),
        "Seed": seed,
        "Verrou": logs[0].verrou or found.verrou,
        "Valgrind": logs[0].valgrind or found.version,
        "Processes": len(logs),
        "PerturbedOperations": sum(each.instrumented for each in logs),
        "Counters": _counters(logs),
        "InstrumentedFrom": "process start",
        "LibrariesAsked": loaded,
        "Excluded": exclusions.summary(rules, [u for each in logs for u in each.used]),
    }
    write_json(stem.with_name(f"{stem.name}_verrou.json"), record)
    return record


def selftest(python: str = sys.executable, valgrind: str = "valgrind") -> dict:
    """The canary of a tool's image: a sum in the tool's own Python.

    Two seeds must differ, one seed must repeat, rounding to nearest must give the
    processor's own sum. Raises `RoundoffError` otherwise; returns the sums.
    """
    plain = _sum([python, "-c", SUM])
    sums = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in (("random", 1), ("random", 2), ("random", 1), ("nearest", 1)):
            output = Path(folder) / "sum"
            code = f"import sys; sys.stdout = open({str(output)!r}, 'w')\n{SUM}"
            run_tool(
                [python, "-c", code],
                mode=case[0],
                seed=case[1],
                stem=Path(folder) / "canary",
                valgrind=valgrind,
            )
            again = float(output.read_text())
            if sums.setdefault(case, again) != again:
                raise RoundoffError(f"self-test: seed {case[1]} did not repeat.")
    if sums["random", 1] == sums["random", 2]:
        raise RoundoffError("self-test: two seeds gave one sum; Verrou does not act.")
    if sums["nearest", 1] != plain:
        raise RoundoffError("self-test: rounding to nearest changed a sum.")
    return {f"{mode} {seed}": total for (mode, seed), total in sums.items()}


def _sum(command: Sequence[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RoundoffError(f"self-test: the tool's Python fails: {done.stderr[-300:]}")
    return float(done.stdout)


def _load(names: Iterable[str]) -> list[str]:
    """Import what is there."""
    loaded = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        loaded.append(name)
    return loaded


def _require_good(command: Sequence[str], status: int, logs: Sequence[Log]) -> None:
    if status in (137, -9):
        raise RoundoffError(
            f"{command[0]}: killed (exit 137), most likely because memory ran out; "
            "under Valgrind it needs about three times its usual memory."
        )
    if status:
        raise RoundoffError(f"{command[0]} ended with status {status} under Verrou.")
    if not any(each.instrumented for each in logs):
        raise RoundoffError(
            f"{command[0]}: no operation was perturbed, so its output means nothing."
        )


def _counters(logs: Sequence[Log]) -> dict[str, dict[str, int]]:
    """Sums over all processes."""
    total: dict[str, Counter] = {}
    for each in logs:
        for operation, row in each.counters.items():
            total.setdefault(operation, Counter()).update(row)
    return {operation: dict(row) for operation, row in total.items()}
