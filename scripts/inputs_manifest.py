"""Write the manifest of the scans a run read: file, size, SHA-256, geometry."""

import argparse
from pathlib import Path

from roundoff.aggregate import save_table
from roundoff.provenance.inputs import inputs_table
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sidecars", nargs="+", type=Path, help="of conformed scans")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    save_table(args.output, inputs_table(args.sidecars))


if __name__ == "__main__":
    run(main)
