"""Write the manifest of the scans a run read: file, size, SHA-256, geometry."""

import argparse
from pathlib import Path

from roundoff.aggregate import save_table
from roundoff.provenance.inputs import inputs_table
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    words = "sidecar of a conformed scan, with {subject} for the subject"
    parser.add_argument("--pattern", required=True, help=words)
    # Names, not paths: a command line of thousands of paths would be too long.
    parser.add_argument("--subjects", nargs="+", required=True)
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    sidecars = [Path(args.pattern.format(subject=s)) for s in args.subjects]
    save_table(args.output, inputs_table(sidecars))


if __name__ == "__main__":
    run(main)
