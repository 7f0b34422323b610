"""A stand-in for `valgrind --tool=verrou`: same command line, same log, same requests.

The program runs on the processor itself; between the start and stop requests its
arithmetic is perturbed by Roundoff's own rounding. FAKE_VERROU in the environment makes
it fail: `silent` (nothing is perturbed, ever), `deaf` (requests are not heard, but
perturbation from the start works), `killed`, `no_log`, `wrong_nearest`.
"""

import json
import os
import signal
import sys
from pathlib import Path

HELP = """usage: valgrind [options] prog-and-args
  user options for Verrou:
    --rounding-mode=<random|nearness|nearest|upward> --vr-seed=N --instr-atstart=yes|no
    --libm=<auto_exclude|manual_exclude|instrumented> --python=<auto_exclude|...>
    --check-nan=yes|no --check-inf=yes|no --count-op=yes|no --exclude=FILE
"""


def install(folder: Path) -> Path:
    """Write the command `valgrind` into a folder, which goes on the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "valgrind"
    command.write_text(
        f'#!/bin/sh\nFAKE_FOLDER="{folder}" exec "{sys.executable}" "{__file__}" "$@"\n'
    )
    command.chmod(0o755)
    return command


BOOT = '''
"""Loaded at start-up by Python, before the program."""
import sys
sys.path.insert(0, {folder!r})
import fake_valgrind
fake_valgrind.become()
'''


def main() -> None:
    """What the command `valgrind` does."""
    options = [a for a in sys.argv[1:] if a.startswith("--")]
    if "--version" in options:
        print("valgrind-3.26.0+verrou-2.7.0")
        return
    values = dict(o[2:].partition("=")[::2] for o in options)
    if values.get("tool") not in ("verrou", "none"):
        sys.exit("valgrind: failed to start tool")
    if "--help" in options:
        print(HELP)
        return
    start = next(i for i, a in enumerate(sys.argv[1:], 1) if not a.startswith("--"))
    program = sys.argv[start:]
    if os.environ.get("FAKE_VERROU") == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    folder = Path(os.environ["FAKE_FOLDER"]) / "boot"
    folder.mkdir(exist_ok=True)
    boot = BOOT.format(folder=str(Path(__file__).resolve().parent))
    (folder / "sitecustomize.py").write_text(boot)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PYTHONPATH": path.rstrip(os.pathsep),
        "FAKE_OPTIONS": json.dumps(values | {"program": program}),
    }
    os.execvpe(program[0], program, environment)


class Tool:
    """The state of the tool behind one process."""

    def __init__(self, options: dict) -> None:
        self.options = options
        self.failure = os.environ.get("FAKE_VERROU", "")
        self.at_start = options.get("instr-atstart") == "yes"
        self.seed = int(options.get("vr-seed", 0))
        self.rounding = None
        self.count = 0
        self.lines: list[str] = []

    def request(self, number: int, *arguments: int) -> int:
        """Answer a client request."""
        from roundoff.instruments import client as c

        if number == c.RUNNING_ON_VALGRIND:
            return 1
        if self.failure == "silent" or self.options.get("tool") != "verrou":
            return 0
        if self.failure == "deaf" and not self.at_start:
            return 0
        if number == c.START:
            self.enter()
        elif number == c.STOP:
            self.leave()
        elif number == c.SET_SEED:
            self.leave()
            self.seed = arguments[0]
            self.lines.append(f"New seed : {self.seed}")
            self.enter()
        elif number == c.COUNT_INSTRUMENTED:
            return self.counted() % 2**32
        return 0

    def enter(self) -> None:
        """Perturb from here on."""
        from roundoff.rounding import RandomRounding

        mode = self.options["rounding-mode"]
        if mode == "nearest":
            if self.failure != "wrong_nearest":
                return  # the processor's own rounding
            mode = "upward"
        self.rounding = RandomRounding(mode=mode, seed=self.seed % 2**63)
        self.rounding.__enter__()

    def leave(self) -> None:
        """Perturb no more."""
        if self.rounding is not None:
            self.rounding.__exit__(None, None, None)
            self.count += self.rounding.coverage.operations
            self.rounding = None

    def counted(self) -> int:
        """Operations perturbed so far."""
        if self.options["rounding-mode"] == "nearest" and self.rounding is None:
            self.count += 2_000_000
        now = self.rounding.coverage.operations if self.rounding else 0
        return self.count + now

    def log(self) -> str:
        """The log, in the words and columns of Verrou 2.7."""
        options, count = self.options, self.counted()
        mode = options["rounding-mode"].upper()
        rules = [
            line
            for line in Path(options["exclude"]).read_text().splitlines()
            if not line.startswith("#")
        ]
        whole = [line for line in rules if line.startswith("*")]
        bar = " " + "-" * 69
        lines = [
            "Verrou, Check floating-point rounding errors",
            "Copyright (C) someone",
            "Using Valgrind-3.26.0+verrou-2.7.0 and LibVEX; rerun with -h",
            f"Command: {' '.join(options['program'])}",
            "",
            f"Loading exclusions list from `{options['exclude']}'... OK.",
            f"First seed : {options['vr-seed']}",
            f"Backend verrou simulating {mode} rounding mode",
            *(f"Using exclusion rule: {rule}" for rule in whole),
            *self.lines,
            "",
            bar,
            " Operation                            Instruction count",
            "  `- Precision",
            "      `- Vectorization          Total             Instrumented",
            bar,
            f" mAdd         {count + 100:15d}          {count:15d}          ( 99%)",
            f"  `- flt      {count + 100:15d}          {count:15d}      ( 99%)",
            f"      `- vec8 {count + 100:15d}          {count:15d}  ( 99%)",
            bar,
            *(f"Warning exclude unused: {r}" for r in rules if r not in whole),
            "ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)",
        ]
        return "".join(f"=={os.getpid()}== {line}\n" for line in lines)


def become() -> None:
    """Turn this process into one that runs under the stand-in."""
    import atexit

    options = json.loads(os.environ.pop("FAKE_OPTIONS"))
    tool = Tool(options)

    from roundoff.instruments import client

    client.stub_request = lambda: tool.request

    @atexit.register
    def finish() -> None:
        if options["tool"] == "verrou" and tool.failure != "no_log":
            name = options["log-file"].replace("%p", str(os.getpid()))
            Path(name.replace("%%", "%")).write_text(tool.log())


if __name__ == "__main__":
    main()
