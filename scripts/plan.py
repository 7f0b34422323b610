"""Predict hours, memory and disk of a study under each instrument, before it starts."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from roundoff.aggregate import save_table
from roundoff.atomic import write_text
from roundoff.errors import RoundoffError
from roundoff.models.registry import get_model
from roundoff.planning.calibrate import Calibration, Line
from roundoff.planning.costs import Samples, plan_rows
from roundoff.planning.report import plan_text
from roundoff.planning.verrou_speed import measure
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, calibrate, write and print the plan."""
    args = parse()
    sys.path.append(str(Path.cwd()))
    specs = {
        name: get_model(name, args.custom_models).with_options(
            args.options.get(name, {})
        )
        for name in args.models
    }
    calibrations = {name: calibration(args, name) for name in specs}
    cost = measure(args.valgrind, args.library)
    samples = Samples(args.controls, args.samples)
    slices = args.slices or None
    rows = plan_rows(
        specs, calibrations, samples, args.subjects, cost, slices, args.options
    )
    save_table(args.table, pd.DataFrame(rows))
    text = plan_text(
        rows,
        cost,
        subjects=args.subjects,
        samples=args.samples,
        controls=args.controls,
        cores=args.cores,
        confidence=args.confidence,
        instrument=args.instrument,
    )
    write_text(args.summary, text)
    print(text)


def calibration(args: argparse.Namespace, name: str) -> Calibration:
    """Calibrate one model in a process of its own."""
    print(f"plan: timing {name} on a few slices", file=sys.stderr)
    request = {
        "name": name,
        "custom": args.custom_models,
        "options": args.options.get(name, {}),
        "weights": args.weights.get(name, {}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "roundoff.planning.calibrate"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RoundoffError(f"plan: {name} could not be timed; the reason is above.")
    values = json.loads(done.stdout.splitlines()[-1])
    lines = {k: Line(**values.pop(k)) for k in ("plain", "native", "operations")}
    return Calibration(**values, **lines)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--models", nargs="+", required=True, help="names in the registry")
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")
    add("--options", type=json.loads, default={}, help="JSON: options by model")
    add("--weights", type=json.loads, default={}, help="JSON: role to file, by model")
    add("--subjects", type=int, required=True, help="how many")
    add("--samples", type=int, required=True)
    add("--controls", type=int, default=2)
    add("--cores", type=int, default=1)
    add("--confidence", type=float, default=0.95)
    add("--instrument", default="native", help="the one of the configuration")
    add("--slices", type=int, default=1, help="under Verrou, per direction; 0: all")
    add("--valgrind", default="valgrind", help="name on the PATH, or a path")
    add("--library", help="VALGRIND_LIB, if it was moved")
    add("--table", required=True, type=Path)
    add("--summary", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
