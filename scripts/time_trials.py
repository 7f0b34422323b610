"""Time trials of the NaN convolution: the rows of one series, or all figures.

time_trials.py measure --series shares --output shares.tsv
time_trials.py draw --folder results/time_trials
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from roundoff.aggregate import save_table
from roundoff.nan_trials.files import JOBS
from roundoff.scripting import progress, run


def measure_series(args: argparse.Namespace) -> list:
    """Rows of a series of layers, of the whole network, or of the published loop."""
    from roundoff.nan_trials.allocator import steady_allocator
    from roundoff.nan_trials.history import SIDES, history_rows
    from roundoff.nan_trials.layers import series
    from roundoff.nan_trials.measure import measure
    from roundoff.nan_trials.network import network_rows

    torch.set_num_threads(args.threads)
    steady_allocator()
    quick = args.size == "quick"
    if args.series == "history":
        sides = {"quick": (10,), "full": (*SIDES, 100, 256)}.get(args.size, SIDES)
        return history_rows(sides, args.repeats)
    if args.series == "network":
        small = {"side": 64, "filters": 8} if quick else {}
        return network_rows(args.repeats, args.clock, **small)
    cases = list(series(args.series, args.size))
    tell, rows = progress(args.series), []
    for i, case in enumerate(cases):
        tell(i / len(cases), str(case.layer))
        rows.append(measure(case, args.repeats, args.clock))
    return rows


def main() -> None:
    """Parse the command line; measure or draw."""
    args = parse()
    if args.command == "draw":
        from roundoff.nan_trials.draw import draw

        return draw(args.folder)
    rows = measure_series(args)
    save_table(args.output, pd.DataFrame([asdict(row) for row in rows]))
    return None


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    part = commands.add_parser("measure", help="time one series")
    add = part.add_argument
    add("--series", required=True, choices=JOBS)
    add("--size", default="default", choices=["quick", "default", "full"])
    add("--repeats", type=int, default=7)
    add("--threads", type=int, default=1)
    add("--clock", default="wall", choices=["wall", "cpu"])
    add("--output", required=True, type=Path, help="table (.tsv)")
    part = commands.add_parser("draw", help="figures and summary.md")
    part.add_argument("--folder", required=True, type=Path, help="with all tables")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
