"""Run a script again under Valgrind, and complete what it wrote with the evidence.

The child writes into a hidden folder; its files appear at their places only when it
ended well, its log was read, and the log shows that Verrou acted.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundoff.atomic import atomic_path, write_json
from roundoff.checksums import sha256_of_file
from roundoff.errors import RoundoffError
from roundoff.instruments import exclusions
from roundoff.instruments.counters import Log, parse_log
from roundoff.instruments.installation import (
    Valgrind,
    clean_environment,
    find_for_control,
    find_valgrind,
)
from roundoff.instruments.under_verrou import INSIDE, NOT_SWITCHED, inside
from roundoff.instruments.verrou import (
    ENVIRONMENT,
    Command,
    Settings,
    plain_command,
    verrou_command,
)

TOLD = 2  # a script's status once it has printed its one error message
KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Evidence:
    """What a finished run under Valgrind leaves for the record."""

    files: dict[Path, Path]  # place to file of the child
    folder: Path
    record: dict[str, Any]

    @property
    def operations(self) -> int:
        """Operations perturbed where they were inexact, from the log."""
        return self.record.get("perturbed_operations", 0)


def needs_valgrind(instrument: str, settings: Mapping[str, Any]) -> bool:
    """Whether a script must start itself again under Valgrind."""
    if inside() is not None:
        return False
    return instrument == "verrou" or settings.get("under") == "valgrind"


def own_place(path: str | Path) -> Path:
    """Where this process shall write a file: its place, or the driver's folder."""
    told = inside()
    return Path(told["folder"]) / Path(path).name if told else Path(path)


def rerun(
    script: Sequence[str],
    instrument: str,
    settings: Mapping[str, Any],
    seed: int,
    outputs: Sequence[str | Path],
    stem: Path,
) -> Evidence:
    """Run `script` (arguments of Python) under Valgrind to its end.

    `outputs`: the files it writes through `own_place`; `stem`: the exclusion file and
    the log are kept as `<stem>_exclusions.txt` and `<stem>_valgrind.log`. The caller
    moves the files with `place` and calls `clean`. Raises `RoundoffError` when Verrou
    is missing, the child failed or was killed, or nothing was perturbed; nothing but
    the log is left then.
    """
    tool = "verrou" if instrument == "verrou" else "none"
    find = find_valgrind if tool == "verrou" else find_for_control
    valgrind = find(settings.get("valgrind") or "valgrind", settings.get("library"))
    folder = Path(outputs[0]).parent / f".partial-{Path(outputs[0]).stem}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = _Job([sys.executable, *script], valgrind, tool, settings, seed, folder, stem)
    try:
        record = job.run()
        files = {Path(path): folder / Path(path).name for path in outputs}
        missing = [str(path) for path, made in files.items() if not made.is_file()]
        if missing:
            raise RoundoffError(f"{tool}: the run left no {', '.join(missing)}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Evidence(files, folder, record)


def place(evidence: Evidence, sidecars: Mapping[Path, Path]) -> None:
    """Complete the sidecars (place to child's file), then move the images."""
    for path, made in sidecars.items():
        record = json.loads(made.read_text())
        record["Evidence"] = record.get("Evidence", {}) | evidence.record
        known = evidence.record.items()
        versions = {k: v for k, v in known if k in ("verrou", "valgrind")}
        record["Instrument"] = record["Instrument"] | versions
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
    for path, made in evidence.files.items():
        if path not in sidecars:
            with atomic_path(path) as temporary:
                shutil.move(made, temporary)
    clean(evidence)


def clean(evidence: Evidence) -> None:
    """Remove the child's folder."""
    shutil.rmtree(evidence.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Job:
    program: list[str]
    valgrind: Valgrind
    tool: str
    settings: Mapping[str, Any]
    seed: int
    folder: Path
    stem: Path

    def run(self) -> dict[str, Any]:
        rules = self._rules()
        status, log, libraries = self._start(at_start=False)
        at_start = status == NOT_SWITCHED and self.tool == "verrou"
        if at_start:
            # No request reached Verrou: perturb from the first instruction on, and say
            # so, rather than give up.
            status, log, libraries = self._start(at_start=True)
        if status == TOLD:
            raise SystemExit(TOLD)
        if status:
            raise RoundoffError(self._failure(status, log))
        return self._record(rules, log, libraries, at_start)

    def _rules(self) -> list[exclusions.Rule]:
        if self.tool != "verrou":
            return []
        options = Settings.of(self.settings)
        rules = exclusions.exclusion_rules(
            exclusions.loaded_libraries(), options.exclude, options.numpy == "perturbed"
        )
        with atomic_path(self._kept("exclusions.txt")) as temporary:
            exclusions.write_rules(rules, temporary)
        return rules

    def _start(self, at_start: bool) -> tuple[int, Log, list[str]]:
        told = {"folder": str(self.folder.resolve()), "at_start": at_start}
        if self.valgrind.binding:
            told["binding"] = str(self.valgrind.binding)
        log = self.folder.resolve() / "valgrind.log"
        command = self._command(log, at_start)
        environment = clean_environment(os.environ) | command.env
        status, pid = _run(command.argv, environment | {INSIDE: json.dumps(told)})
        text = _log_text(log, pid)
        with atomic_path(self._kept("valgrind.log")) as temporary:
            temporary.write_text(text)
        loaded = self.folder / "libraries.json"
        libraries = json.loads(loaded.read_text()) if loaded.is_file() else []
        return status, parse_log(text), libraries

    def _command(self, log: Path, at_start: bool) -> Command:
        if self.tool == "none":
            return plain_command(self.program, valgrind=self.valgrind, log=log)
        return verrou_command(
            self.program,
            Settings.of(self.settings),
            self.seed,
            valgrind=self.valgrind,
            exclusions=self._kept("exclusions.txt").resolve(),
            log=log,
            at_start=at_start,
        )

    def _failure(self, status: int, log: Log) -> str:
        kept = self._kept("valgrind.log")
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return (
                f"{self.tool}: the run was killed (exit 137), most likely because "
                "memory ran out: Valgrind needs about three times a native run. Give "
                "the job more memory, or compute fewer slices (verrou.slices)."
            )
        if status in (-signal.SIGILL, 128 + signal.SIGILL):
            return (
                f"{self.tool}: Valgrind met an instruction it does not know (see "
                f"{kept}): some library was compiled for this processor alone, with "
                "AVX-512. Use the published wheels."
            )
        why = f" {log.problems[-1]}" if log.problems else ""
        return (
            f"{self.tool}: the run under Valgrind ended with status {status}; its "
            f"message is above, Valgrind's in {kept}.{why}"
        )

    def _record(
        self,
        rules: list[exclusions.Rule],
        log: Log,
        libraries: list[str],
        at_start: bool,
    ) -> dict[str, Any]:
        record: dict[str, Any] = {
            "valgrind": log.valgrind or self.valgrind.version,
            "valgrind_log": str(self._kept("valgrind.log")),
            "environment": ENVIRONMENT,
            "cpu": cpu_model(),
        }
        if self.tool == "none":
            return record | {"perturbed_operations": 0}
        _require_action(log)
        unmet = exclusions.check_used(rules, log.used)
        late = exclusions.missing_rules(rules, libraries)
        excluded = {r.object for r in rules if r.symbol == exclusions.ANY}
        return record | {
            "verrou": log.verrou or self.valgrind.verrou,
            "mode_in_log": log.mode,
            "seed_set_in_process": self.seed in log.new_seeds,
            "instrumented_from": "process start" if at_start else "region",
            "perturbed_operations": log.instrumented,
            "counters": log.as_dict(),
            "exclusion_file": str(self._kept("exclusions.txt")),
            "exclusions_sha256": sha256_of_file(self._kept("exclusions.txt")),
            "excluded": exclusions.summary(rules, log.used),
            "expected_rules_not_met": unmet,
            "loaded_after_the_list": late,
            "instrumented_objects": [p for p in libraries if p not in excluded],
            "problems": log.problems,
        }

    def _kept(self, name: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}_{name}")


def _log_text(log: Path, pid: int) -> str:
    """The log of the process started, or of its busiest child."""
    own = log.with_name(f"{log.name}.{pid}")
    if own.is_file():
        return own.read_text(errors="replace")
    others = sorted(log.parent.glob(f"{log.name}.*"), key=lambda p: p.stat().st_size)
    return others[-1].read_text(errors="replace") if others else ""


def _require_action(log: Log) -> None:
    if not log.counters:
        raise RoundoffError(
            "verrou: the log holds no operation counters, so nothing shows that "
            "anything was perturbed; the sample is refused."
        )
    if log.instrumented == 0:
        total = sum(row["total"] for row in log.counters.values())
        raise RoundoffError(
            f"verrou: none of {total} floating-point operations was perturbed: the "
            "instrument did nothing. A sample like this would look perfectly stable, "
            "so it is refused."
        )


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run to the end; (status, process id). The child dies with this process."""
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        with subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        ) as child:
            try:
                return child.wait(), child.pid
            except BaseException:
                child.kill()
                raise
    except OSError as error:
        raise RoundoffError(f"verrou: {argv[0]} cannot be run ({error})") from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(*_: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(KILL_WITH_PARENT, signal.SIGKILL)


def load_libraries() -> None:
    """In the driver: load what every child loads, so that the rules know it."""
    import nibabel  # noqa: F401
    import numpy as np
    import scipy.special  # noqa: F401
    import torch

    torch.ones(2, 2) @ torch.ones(2, 2)
    np.ones((2, 2)) @ np.ones((2, 2))


def note_libraries() -> None:
    """In the child: tell the driver which libraries are loaded."""
    told = inside()
    if told:
        path = Path(told["folder"]) / "libraries.json"
        path.write_text(json.dumps(exclusions.loaded_libraries()))


def cpu_model() -> str:
    """Name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())
