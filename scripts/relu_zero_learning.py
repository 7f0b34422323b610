"""ReLU'(0): train one start of a network with every s."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from roundoff import aggregate
from roundoff.data.classification import load_dataset
from roundoff.relu_zero.learning import learning_table
from roundoff.relu_zero.sizes import DATASETS, SIZES, learning_of
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, train, write the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="converted data set")
    add("--network", required=True, choices=DATASETS)
    add("--size", default="demo", choices=SIZES)
    add("--rates", required=True, type=Path, help="table of the rate's trials")
    add("--number", required=True, type=int, help="which start, from 1")
    add("--device", default="cpu")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    trials = pd.read_csv(args.rates, sep="\t")
    table = learning_table(
        learning_of(args.size, args.network),
        load_dataset(DATASETS[args.network], args.data),
        float(trials.loc[trials["best"], "rate"].iloc[0]),
        args.seed,
        args.number,
        args.device,
        progress("learning"),
    )
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
