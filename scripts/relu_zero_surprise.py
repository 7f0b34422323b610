"""ReLU'(0): copies of one network, trained alike but for s, part ways."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from roundoff import aggregate
from roundoff.data.classification import load_mnist
from roundoff.relu_zero.sizes import PRECISIONS
from roundoff.relu_zero.surprise import surprise_table
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, train the copies, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mnist", required=True, type=Path, help="converted data set")
    add("--precision", required=True, choices=PRECISIONS)
    add("--iterations", type=int, default=469)
    add("--seeds", type=int, default=1, help="number of initialisations")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, report = load_mnist(args.mnist).train, progress("surprise")
    tables = [
        surprise_table(
            args.precision, train, args.iterations, args.seed, number + 1, report=report
        )
        for number in range(args.seeds)
    ]
    aggregate.save_table(args.table, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    run(main)
