"""What is done, what failed and why: a table, a page and a partial report.

Reads the results only, so it may be called at any time, also while a run is at work.
"""

import argparse
import json
from pathlib import Path

from roundoff.aggregate import save_table
from roundoff.lock import is_running
from roundoff.report.partial import write_partial
from roundoff.scripting import add_study, run, study_of
from roundoff.status import collect
from roundoff.status.show import print_table, summary, write_page


def main() -> None:
    """Parse the command line, look, print, write."""
    args = parse()
    study = study_of(args)
    table = collect(
        {m.name: m for m in study.models},
        list(study.subjects),
        args.instruments,
        study.instrument,
        running=not args.ended and is_running(args.lock),
    )
    save_table(args.output, table)
    partial = write_partial(study) if args.ended else None
    write_page(args.page, table)
    if args.quiet:
        places = [str(p) for p in (args.output, args.page, partial) if p]
        print(f"{summary(table)} Details: {', '.join(places)}")
    else:
        print_table(table)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_study(parser)
    add = parser.add_argument
    add("--instruments", type=json.loads, required=True, help="JSON: samples of each")
    add("--lock", type=Path, default=Path(".snakemake/roundoff.lock"))
    add("--ended", action="store_true", help="the run is over: nothing is running")
    add("--quiet", action="store_true", help="print the summary only")
    add("--output", type=Path, default=Path("results/status.tsv"))
    add("--page", type=Path, default=Path("results/status.html"))
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
