"""The command line of a sample under Valgrind: the one place that builds it.

Options and their traps: docs/verrou.md. What is built here runs as it stands on the
host; a container runtime wraps it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundoff.errors import RoundoffError
from roundoff.instruments.installation import Valgrind

# Verrou 2.7 renamed average to nearness; both names are accepted everywhere here.
OLD_NAMES = {"average": "nearness", "sr": "nearness"}
MODES = (
    "random", "nearness", "nearest", "upward", "downward", "toward_zero", "away_zero",
    "random_det", "nearness_det", "random_comdet", "nearness_comdet",
)  # fmt: skip
SPREADING = ("random", "nearness")
"""Modes whose samples differ from seed to seed by design (so do their _det forms)."""

# One thread, or the sums are split differently; AVX2, because Valgrind knows no
# AVX-512 and control and sample shall run the same kernels; fixed hashes, or Python
# itself does another number of operations.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MKL_DYNAMIC": "FALSE",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}
FLUSH_TO_ZERO = "off (Valgrind ignores the setting, so the control keeps it off too)"


@dataclass(frozen=True)
class Settings:
    """What identifies the perturbation. Field names are those of the configuration."""

    mode: str = "random"
    libm: str = "excluded"
    numpy: str = "excluded"
    exclude: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """From a section of the configuration; settings of other concerns are left."""
        known = {k: v for k, v in values.items() if k in cls.__dataclass_fields__}
        for name in ("exclude", "layers"):
            known[name] = tuple(known.get(name) or ())
        settings = cls(**known)
        if canonical_mode(settings.mode) not in MODES:
            raise RoundoffError(
                f"verrou.mode: {settings.mode!r} is unknown; known: {', '.join(MODES)}"
            )
        return settings

    def as_dict(self) -> dict[str, Any]:
        """For the sidecar; the mode under its present name."""
        return {
            "mode": canonical_mode(self.mode),
            "libm": self.libm,
            "numpy": self.numpy,
            "exclude": list(self.exclude),
            "layers": list(self.layers),
        }


@dataclass(frozen=True)
class Command:
    """A program to start: arguments, and variables to add to its environment."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


def canonical_mode(mode: str) -> str:
    """The present name of a rounding mode: "average" and "sr" become "nearness"."""
    for old, new in OLD_NAMES.items():
        if mode == old or mode.startswith(old + "_"):
            return new + mode[len(old) :]
    return mode


def mode_option(mode: str, valgrind: Valgrind) -> str:
    """The name the installed Verrou knows a mode by."""
    name = canonical_mode(mode)
    if name.startswith("nearness") and not valgrind.understands("nearness"):
        return name.replace("nearness", "average", 1)
    return name


def verrou_command(
    program: Sequence[str],
    settings: Settings,
    seed: int,
    *,
    valgrind: Valgrind,
    exclusions: Path,
    log: Path,
    at_start: bool = False,
) -> Command:
    """`program` (argv) under Verrou, perturbation off until the program asks for it.

    `exclusions`: file of rules; `log`: where Valgrind writes, one file per process
    (".<pid>" is appended); `at_start`: perturb from the first instruction on instead.
    """
    libm = "instrumented" if settings.libm == "instrumented" else "manual_exclude"
    optional = [
        f"--libm={libm}",
        "--python=auto_exclude",
        "--check-nan=no",
        "--check-inf=no",
    ]
    argv = [
        *_head(valgrind, "verrou", log),
        f"--rounding-mode={mode_option(settings.mode, valgrind)}",
        f"--vr-seed={seed}",
        f"--instr-atstart={'yes' if at_start else 'no'}",
        "--count-op=yes",
        # Releases before 2.6 know none of these, and refuse what they do not know.
        *(o for o in optional if valgrind.understands(o.partition("=")[0])),
        f"--exclude={exclusions}",
    ]
    return Command([*argv, *program], ENVIRONMENT | valgrind.environment)


def plain_command(program: Sequence[str], *, valgrind: Valgrind, log: Path) -> Command:
    """`program` under Valgrind without any perturbation: the control's command."""
    argv = _head(valgrind, "none", log)
    return Command([*argv, *program], ENVIRONMENT | valgrind.environment)


def _head(valgrind: Valgrind, tool: str, log: Path) -> list[str]:
    # `%` starts a code in Valgrind's file names.
    name = str(log).replace("%", "%%") + ".%p"
    return [
        valgrind.path,
        "--command-line-only=yes",  # no ~/.valgrindrc
        f"--tool={tool}",
        "--trace-children=yes",
        f"--log-file={name}",
    ]
