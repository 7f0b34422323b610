"""Fetch an image classification data set and write it as one checked file."""

import argparse
from pathlib import Path

from roundoff.data.classification.convert import convert
from roundoff.data.classification.tables import DATASETS
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=DATASETS)
    parser.add_argument(
        "--from", dest="user", type=Path, metavar="PATH", help="your file or folder"
    )
    parser.add_argument("--output", required=True, type=Path, help=".safetensors")
    args = parser.parse_args()
    convert(args.dataset, args.output, args.user)


if __name__ == "__main__":
    run(main)
