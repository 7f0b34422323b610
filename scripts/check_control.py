"""Require that the unperturbed samples of a subject are bit-identical."""

import argparse
from pathlib import Path

from roundoff.atomic import write_json
from roundoff.instruments.control import compare_controls
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sidecars", nargs="+", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    write_json(args.output, compare_controls(args.sidecars))


if __name__ == "__main__":
    run(main)
