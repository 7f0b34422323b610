"""Draw the figures of one subject and model."""

import argparse
import json
from pathlib import Path

from roundoff.models.registry import get_model
from roundoff.report.subject import draw_subject
from roundoff.scripting import assignments, run


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", required=True, help="name in the registry")
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")
    add("--image", required=True, type=Path, help="conformed scan, drawn in grey")
    add("--input", action="append", required=True, metavar="ROLE=PATH")
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    args = parser.parse_args()
    spec = get_model(args.model, args.custom_models)
    draw_subject(spec, args.image, assignments(args.input), assignments(args.output))


if __name__ == "__main__":
    run(main)
