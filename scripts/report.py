"""Write the report: one HTML page that opens offline."""

import argparse
from pathlib import Path

from roundoff.report.page import write_page
from roundoff.scripting import add_study, run, study_of


def main() -> None:
    """Parse the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_study(parser)
    add = parser.add_argument
    add("--bits-figure", required=True, type=Path)
    add("--dice-figure", required=True, type=Path)
    add("--bits-table", required=True, type=Path)
    add("--regions-table", required=True, type=Path)
    add("--output", required=True, type=Path)
    args = parser.parse_args()
    overview = {
        "bits": args.bits_figure,
        "dice": args.dice_figure,
        "bits_table": args.bits_table,
        "regions_table": args.regions_table,
    }
    write_page(args.output, study_of(args), overview)


if __name__ == "__main__":
    run(main)
