"""What Verrou's log says: versions, mode, seed, operation counters, exclusions used."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPERATIONS = ("add", "sub", "mul", "div", "mAdd", "mSub", "sqrt", "conv")
"""Operations Verrou perturbs; it counts cmp, max and min too, and leaves them alone."""

PREFIX = re.compile(r"^(?:==|--)\d+(?:==|--) ?")
TOP = re.compile(r"^ ?(\w[\w=>]*)\s+(\d+)\s+(\d+)\s+\(\s*\d+%\)\s*$")
NESTED = re.compile(r"^\s+`- ([\w=>]+)\s+(\d+)\s+(\d+)\s+\(\s*\d+%\)\s*$")
PRECISIONS = ("flt", "dbl", "ldbl")
PROBLEM = re.compile(r"panic|unhandled instruction|ERROR \(|\bNaN\b|Invalid mode")


@dataclass
class Log:
    """One process's log, read."""

    valgrind: str = ""  # "3.26.0"
    verrou: str = ""  # "2.7.0"; empty when another tool wrote the log
    mode: str = ""  # "random", as Verrou names it
    first_seed: int | None = None
    new_seeds: list[int] = field(default_factory=list)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)  # "symbol<tab>object"
    unused: list[str] = field(default_factory=list)
    detected: list[str] = field(default_factory=list)  # objects excluded by default
    problems: list[str] = field(default_factory=list)  # lines about NaN, Inf, panics

    @property
    def instrumented(self) -> int:
        """Operations that were perturbed where they were inexact."""
        return sum(self.counters.get(op, {}).get("perturbed", 0) for op in OPERATIONS)

    def as_dict(self) -> Mapping[str, Any]:
        """For the sidecar: total and perturbed counts by operation and precision."""
        return {op: dict(row) for op, row in self.counters.items()}


def parse_log(text: str) -> Log:
    """Read a log of `valgrind --tool=verrou`; of several tables the last one counts."""
    log, operation = Log(), ""
    for raw in text.splitlines():
        line = PREFIX.sub("", raw)
        if line.startswith("Command: "):
            continue  # the program's own words
        _header(log, line)
        if "Instruction count" in line:
            log.counters, operation = {}, ""
        elif top := TOP.match(line):
            operation = top[1]
            log.counters[operation] = _row(top)
        elif (nested := NESTED.match(line)) and operation:
            _nested(log.counters[operation], nested)
    return log


def split_version(version: str) -> tuple[str, str]:
    """("3.26.0", "2.7.0") from "3.26.0+verrou-2.7.0"; "" where no Verrou is named."""
    valgrind, _, verrou = version.partition("verrou-")
    return valgrind.strip(" +.-").removeprefix("valgrind-"), verrou.strip()


def _header(log: Log, line: str) -> None:
    if found := re.search(r"Using Valgrind-(\S+) and", line):
        log.valgrind, verrou = split_version(found[1])
        log.verrou = verrou or log.verrou
    elif line.startswith("Verrou, "):
        log.verrou = log.verrou or "unknown"
    elif found := re.search(r"Backend verrou simulating (\w+) rounding mode", line):
        log.mode = found[1].lower()
    elif found := re.match(r"First seed : (\d+)", line):
        log.first_seed = int(found[1])
    elif found := re.match(r"New seed : (\d+)", line):
        log.new_seeds.append(int(found[1]))
    elif found := re.match(r"Using exclusion rule: (\S+)\s+(.*\S)\s*$", line):
        log.used.append(f"{found[1]}\t{found[2]}")
    elif found := re.match(r"Warning exclude unused: (\S+)\s+(.*\S)\s*$", line):
        log.unused.append(f"{found[1]}\t{found[2]}")
    elif found := re.match(r"EXCLUDE DETECTED: (.*\S)\s*$", line):
        log.detected.append(found[1])
    elif len(log.problems) < 20 and PROBLEM.search(line):
        log.problems.append(line.strip())


def _row(match: re.Match) -> dict[str, int]:
    return {"total": int(match[2]), "perturbed": int(match[3])}


def _nested(row: dict[str, int], match: re.Match) -> None:
    """Keep the counts by precision; those by vector width are left out."""
    name = match[1]
    if name in PRECISIONS or "=>" in name:
        row[f"{name} total"] = int(match[2])
        row[f"{name} perturbed"] = int(match[3])
