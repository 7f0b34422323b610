#!/usr/bin/env python3
"""Run a command in Roundoff's own environment, which is made on the first call.

    python3 bootstrap.py snakemake --cores 2     the default workflow, to the report
    python3 bootstrap.py pytest -n 2             the tests, on two cores

Needs Python 3.11 or newer and a network for the first call. The environment is the
folder `.venv` beside this file: every package pinned and checked by hash
(requirements.txt), except PyTorch, whose build depends on the machine.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".venv"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
LISTS = [ROOT / "requirements.txt", ROOT / "requirements-torch.txt"]


def main() -> int:
    """Make the environment if it is not current, then run the command in it."""
    if sys.version_info < (3, 11):  # noqa: UP036 (told in words, before anything fails)
        sys.exit(
            f"Roundoff needs Python 3.11 or newer; this is {sys.version.split()[0]}"
        )
    command = sys.argv[1:]
    if not command or command[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not is_current():
        install()
    environment = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    program = BIN / command[0]
    if not program.exists():
        sys.exit(f"{command[0]}: no such program in {BIN}")
    return subprocess.call([str(program), *command[1:]], env=environment)


def state() -> str:
    """What the environment was made from."""
    digest = hashlib.sha256(sys.version.encode())
    for path in [*LISTS, ROOT / "pyproject.toml"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the environment was completed from these very lists."""
    mark = HOME / "roundoff-installed"
    return mark.is_file() and mark.read_text() == state()


def install() -> None:
    """Create the environment and install the pinned packages and Roundoff itself."""
    print(f"Making the environment {HOME} (a few minutes, once) ...", flush=True)
    try:
        venv.create(HOME, with_pip=True, clear=True)
    except (subprocess.CalledProcessError, ImportError):
        sys.exit(
            "Python cannot make virtual environments here. On Debian or Ubuntu: "
            "apt-get install python3-venv"
        )
    pip("--require-hashes", "-r", str(LISTS[0]))
    pip("-r", str(LISTS[1]))
    pip("--no-deps", "--editable", str(ROOT))
    (HOME / "roundoff-installed").write_text(state())


def pip(*arguments: str) -> None:
    """Install quietly; say plainly when it fails."""
    command = [str(BIN / "python"), "-m", "pip", "install", "--quiet"]
    if subprocess.call([*command, "--disable-pip-version-check", *arguments]):
        sys.exit("pip failed (see above): check the network and free disk, run again.")


if __name__ == "__main__":
    sys.exit(main())
