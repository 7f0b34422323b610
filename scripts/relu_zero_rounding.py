"""ReLU'(0): exact zeros with ordinary and with random rounding, on the same batches."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_mnist
from roundoff.relu_zero.sizes import PRECISIONS, draws_of
from roundoff.relu_zero.under_rounding import comparison_table
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, compare, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mnist", required=True, type=Path, help="converted data set")
    add("--precision", required=True, choices=PRECISIONS)
    add("--draws", required=True, type=draws_of, help="first-last, e.g. 0000-0049")
    add("--images", type=int, default=60_000, help="images each draw sees")
    add("--mode", default="random", choices=["random", "nearness"])
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = comparison_table(
        args.precision,
        args.draws,
        load_mnist(args.mnist).train,
        args.images,
        args.seed,
        args.mode,
        progress("rounding"),
    )
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
