"""Require that the unperturbed samples of a subject are bit-identical."""

import argparse
from pathlib import Path

from roundoff.atomic import write_json
from roundoff.instruments.control import compare_controls, compare_with_plain
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sidecars", nargs="+", required=True, type=Path)
    images = {"nargs": "*", "default": [], "type": Path}
    parser.add_argument("--control", **images, help="images of a sample in Valgrind")
    parser.add_argument("--plain", **images, help="the same images without Valgrind")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    record = compare_controls(args.sidecars)
    if args.plain:
        record["ValgrindChanges"] = compare_with_plain(args.control, args.plain)
    write_json(args.output, record)


if __name__ == "__main__":
    run(main)
