"""Self-test of an installation or image: does every instrument it holds act?

Prints one line per instrument and one with all of it as JSON; status 2 if one fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from roundoff import __version__
from roundoff.atomic import write_json
from roundoff.errors import RoundoffError
from roundoff.instruments.installation import find_valgrind
from roundoff.runtimes.inside import describe_place
from roundoff.scripting import run

CANARY = Path(__file__).with_name("canary.py")
INSTRUMENTS = ("ieee", "native", "verrou")


def main() -> None:
    """Run the canary of every instrument that is here, or of those asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--instruments", nargs="+", choices=INSTRUMENTS, help="all that are here"
    )
    parser.add_argument("--output", type=Path, help="record (JSON)")
    args = parser.parse_args()
    record = {"Roundoff": __version__, "Place": describe_place(), "Instruments": {}}
    for name in args.instruments or present():
        record["Instruments"][name] = canary(name)
        print(f"{name}: acts as it should", file=sys.stderr, flush=True)
    print(json.dumps(record))
    if args.output:
        write_json(args.output, record)


def present() -> list[str]:
    """Instruments of this installation; Verrou where Valgrind has it."""
    try:
        find_valgrind()
    except RoundoffError as error:
        print(f"verrou: not here ({error})", file=sys.stderr)
        return ["ieee", "native"]
    return list(INSTRUMENTS)


def canary(instrument: str) -> dict:
    """The record of the canary, run as the workflow runs it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "canary" / f"{instrument}.json"
        settings = json.dumps({} if instrument == "ieee" else {"mode": "random"})
        command = [sys.executable, str(CANARY), "--instrument", instrument]
        command += ["--settings", settings, "--output", str(output)]
        if subprocess.call(command, env=os.environ | {"OMP_NUM_THREADS": "1"}):
            raise RoundoffError(
                f"self-test: {instrument} does not act as it should (see above); "
                "nothing computed with it here would mean anything."
            )
        return json.loads(output.read_text())


if __name__ == "__main__":
    run(main)
