"""Draw the figures of one subject and model."""

import argparse
from pathlib import Path

from roundoff.report.subject import draw_subject
from roundoff.scripting import add_model, assignments, model_of, run


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--image", required=True, type=Path, help="conformed scan, drawn in grey")
    add("--input", action="append", required=True, metavar="ROLE=PATH")
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    args = parser.parse_args()
    spec = model_of(args)
    draw_subject(spec, args.image, assignments(args.input), assignments(args.output))


if __name__ == "__main__":
    run(main)
