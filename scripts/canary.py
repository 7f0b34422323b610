"""Prove that an instrument acts, before any sample is computed with it."""

import argparse
import json
import sys
from pathlib import Path

from roundoff.atomic import write_json
from roundoff.instruments import get_instrument
from roundoff.instruments.canary import run_canary
from roundoff.instruments.rerun import (
    load_libraries,
    needs_valgrind,
    note_libraries,
    own_place,
    place,
    rerun,
)
from roundoff.runtimes.scripts import add_runtime, sent
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, run the canary, record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--output", required=True, type=Path)
    add_runtime(parser)
    args = parser.parse_args()
    stem = args.output.parent.parent / "verrou" / f"canary_{args.output.stem}"
    valgrind = needs_valgrind(args.instrument, args.settings)
    if sent(args, [], [args.output, *([stem] if valgrind else [])]):
        return
    if valgrind:
        load_libraries()
        evidence = rerun(
            sys.argv, args.instrument, args.settings, 1, [args.output], stem
        )
        place(evidence, evidence.files)
        return
    instrument = get_instrument(args.instrument, **args.settings)
    write_json(own_place(args.output), run_canary(instrument))
    note_libraries()


if __name__ == "__main__":
    run(main)
