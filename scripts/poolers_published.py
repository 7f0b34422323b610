"""Poolers: TDGS against max pooling on MNIST, at the published settings."""

import argparse
from pathlib import Path

from roundoff.figures import poolers as figures
from roundoff.poolers import report
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, print the accuracies, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--figure", required=True, type=Path)
    args = parser.parse_args()
    curves = report.read(args.tables)
    found = report.accuracies(curves)
    words = " · ".join(
        f"{r.pooler}: {r.mean:.2f} % (published {r.published:.2f} %)"
        for r in found.itertuples()
    )
    print(words)
    figures.curves(args.figure, curves, [words])


if __name__ == "__main__":
    run(main)
