"""Put the checked file of a data source, or a ready-made program, at its place."""

import argparse
from pathlib import Path

from roundoff.data.fetch import fetch
from roundoff.data.release import install_release
from roundoff.data.sources import get_source
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="name in the source table")
    parser.add_argument("--archive", type=Path, help="package or release at hand")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--sha256", help="of a release, if not the published one")
    args = parser.parse_args()
    source = get_source(args.source)
    if source.kind == "release":
        install_release(source, args.output, args.archive, args.sha256)
    else:
        fetch(source, args.output, args.archive)


if __name__ == "__main__":
    run(main)
