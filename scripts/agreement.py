"""Sum up the agreement of native rounding with Verrou, or say how to get Verrou."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from roundoff.agreement.report import summary
from roundoff.atomic import write_text
from roundoff.scripting import run


def main() -> None:
    """Parse the command line and write summary.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", nargs="*", default=[], type=Path)
    parser.add_argument("--samples", type=int, required=True, help="by each instrument")
    parser.add_argument("--mode", required=True, help="rounding mode")
    parser.add_argument("--missing", default="", help="why there are no tables")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    kinds = {"subject": str, "part": str}
    read = [
        pd.read_csv(t, sep="\t", dtype=kinds, na_values=["n/a"], keep_default_na=False)
        for t in args.results
        if t.suffix == ".tsv"
    ]
    tables = pd.concat(read) if read else pd.DataFrame()
    settings = {"samples": args.samples, "mode": args.mode}
    write_text(args.output, summary(tables, settings, args.missing))
    if args.missing:
        print(f"agreement: skipped. {args.missing}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
