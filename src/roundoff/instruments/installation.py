"""Which Valgrind is there, and whether it has Verrou: found, asked, or explained."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundoff.errors import RoundoffError
from roundoff.instruments.counters import split_version

HOW_TO_GET = (
    "Install the ready-made release with `python scripts/fetch_source.py --source "
    "verrou --output resources/verrou` in the folder you run in (no root needed; "
    "docs/verrou.md), or name your own under `verrou: {valgrind: /path/bin/valgrind}`"
)
TOOLS = (
    "libexec/valgrind",
    "lib/valgrind",
    "lib/x86_64-linux-gnu/valgrind",
    "lib64/valgrind",
)
FETCHED = "resources/verrou/bin/valgrind"


@dataclass(frozen=True)
class Valgrind:
    """A Valgrind that runs here."""

    path: str
    library: str | None  # VALGRIND_LIB, where its own prefix is not the compiled one
    version: str  # of Valgrind, "3.26.0"
    verrou: str = ""  # "2.7.0", "dev"; empty when unknown or for another tool
    help: str = ""  # of the tool: what it understands

    def understands(self, option: str) -> bool:
        """Whether the tool's help names an option or value."""
        return option in self.help

    @property
    def environment(self) -> dict[str, str]:
        """Variables it needs to find its tools."""
        return {"VALGRIND_LIB": self.library} if self.library else {}

    @property
    def binding(self) -> Path | None:
        """Verrou's own library of client requests, where the prefix holds it."""
        folders = [Path(self.library)] if self.library else []
        prefix = Path(self.path).resolve().parent.parent
        folders += [prefix / tools for tools in TOOLS]
        found = (f / "verrouCBinding.so" for f in folders)
        return next((p for p in found if p.is_file()), None)


def find_valgrind(
    executable: str = "valgrind", library: str | None = None, tool: str = "verrou"
) -> Valgrind:
    """The Valgrind a run shall use, once its tool has answered.

    `executable`: a name on the PATH or a path; `library`: its folder of tools, when it
    was moved (VALGRIND_LIB). The fetched release serves where the PATH has none with
    the tool. Raises `RoundoffError` in one sentence: what is missing and how to get it.
    """
    paths = [path for path in (shutil.which(executable),) if path]
    if executable == "valgrind" and Path(FETCHED).is_file():
        paths.append(str(Path(FETCHED).resolve()))
    if not paths:
        raise RoundoffError(
            f"verrou: there is no Valgrind called {executable!r} here. {HOW_TO_GET}."
        )
    reasons = []
    for path in paths:
        for folder in _library_candidates(path, library, tool):
            done = _ask(path, folder, f"--tool={tool}", "--help")
            if done.returncode == 0:
                version = _ask(path, folder, "--version").stdout.strip()
                number, verrou = split_version(version)
                return Valgrind(path, folder, number, verrou, done.stdout)
            reasons += (done.stderr or done.stdout).strip().splitlines()[:1]
    reason = reasons[0] if reasons else "no answer"
    raise RoundoffError(
        f"verrou: {paths[0]} has no tool {tool!r} ({reason}). {HOW_TO_GET}."
    )


def find_for_control(
    executable: str = "valgrind", library: str | None = None
) -> Valgrind:
    """The Valgrind of the control: the one that has Verrou, where there is one.

    Another version could show the program another processor, and other kernels.
    """
    try:
        return find_valgrind(executable, library, "verrou")
    except RoundoffError:
        return find_valgrind(executable, library, "none")


def _library_candidates(path: str, library: str | None, tool: str) -> list[str | None]:
    """Folders of tools to try: the one given, the compiled one, the moved one."""
    if library:
        if not Path(library).is_dir():
            raise RoundoffError(f"verrou.library: there is no folder {library}")
        return [library]
    prefix = Path(path).resolve().parent.parent
    moved = [prefix / tools for tools in TOOLS]
    return [
        os.environ.get("VALGRIND_LIB") or None,
        *(str(folder) for folder in moved if any(folder.glob(f"{tool}-*"))),
    ]


def _ask(path: str, library: str | None, *arguments: str):
    environment = clean_environment(os.environ)
    if library:
        environment["VALGRIND_LIB"] = library
    try:
        return subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            check=False,
        )
    except OSError as error:
        raise RoundoffError(
            f"verrou: {path} cannot be run ({error}). {HOW_TO_GET}."
        ) from None


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without settings that would overrule the command line.

    Verrou lets every VERROU_ variable win over its options, Valgrind reads
    VALGRIND_OPTS.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("VERROU_") and name != "VALGRIND_OPTS"
    }
