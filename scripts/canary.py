"""Prove that an instrument acts, before any sample is computed with it."""

import argparse
import json
from pathlib import Path

from roundoff.atomic import write_json
from roundoff.instruments import get_instrument
from roundoff.instruments.canary import run_canary
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, run the canary, record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    instrument = get_instrument(args.instrument, **args.settings)
    write_json(args.output, run_canary(instrument))


if __name__ == "__main__":
    run(main)
