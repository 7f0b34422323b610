"""Write dataset_description.json and .bidsignore of a results folder."""

import argparse
import os
from pathlib import Path

from roundoff.atomic import write_json, write_text
from roundoff.bids import BIDSIGNORE, dataset_description
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--title", required=True)
    parser.add_argument("--seed", type=int, required=True, help="master seed")
    parser.add_argument("--source", required=True, help="where the scans came from")
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--description", required=True, type=Path, help="output")
    parser.add_argument("--ignore", required=True, type=Path, help="output")
    args = parser.parse_args()
    container = os.environ.get("ROUNDOFF_CONTAINER", "none")
    content = dataset_description(
        args.title, container, args.seed, args.source, args.instrument
    )
    write_json(args.description, content)
    write_text(args.ignore, BIDSIGNORE)


if __name__ == "__main__":
    run(main)
