"""Join the tables of all subjects and models, and draw what they share."""

import argparse
from pathlib import Path

from roundoff import aggregate
from roundoff.report import cohort
from roundoff.scripting import add_study, run, study_of


def main() -> None:
    """Parse the command line, join, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_study(parser)
    add = parser.add_argument
    add("--bits-table", required=True, type=Path)
    add("--regions-table", required=True, type=Path)
    add("--bits-figure", required=True, type=Path)
    add("--dice-figure", required=True, type=Path)
    args = parser.parse_args()
    study = study_of(args)
    bits, found = cohort.join_tables(study)
    aggregate.save_table(args.bits_table, bits)
    aggregate.save_table(args.regions_table, found)
    lines = cohort.caption_lines(study)
    cohort.draw_bits_overview(args.bits_figure, bits, lines)
    cohort.draw_dice_overview(args.dice_figure, found, lines)


if __name__ == "__main__":
    run(main)
