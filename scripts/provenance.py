"""Describe a finished run as a research object: configuration, checksums, RO-Crate."""

import argparse
from pathlib import Path

import pandas as pd

from roundoff.atomic import write_text
from roundoff.provenance.checksums import as_text, checksums
from roundoff.provenance.crate import write_crate
from roundoff.scripting import add_study, run, study_of


def main() -> None:
    """Parse the command line and write the files below results/provenance."""
    args = parse()
    results = args.inputs.parent
    write_text(args.config_output, args.config)
    write_text(args.citation_output, args.citation.read_text())
    sums = checksums(results)
    write_text(args.checksums, as_text(sums, "../"))
    inputs = pd.read_csv(args.inputs, sep="\t", dtype=str)
    write_crate(results, study_of(args), inputs, sums)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_study(parser)
    add = parser.add_argument
    add("--inputs", required=True, type=Path, help="manifest of the scans")
    add("--config", required=True, help="the checked configuration, as YAML")
    add("--citation", required=True, type=Path, help="CITATION.cff")
    add("--config-output", required=True, type=Path)
    add("--citation-output", required=True, type=Path)
    add("--checksums", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
