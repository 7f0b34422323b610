"""ReLU'(0): search the learning rate of a network (s = 0)."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_dataset
from roundoff.relu_zero.learning import best_rate
from roundoff.relu_zero.sizes import DATASETS, SIZES, learning_of
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, search, write the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="converted data set")
    add("--network", required=True, choices=DATASETS)
    add("--size", default="demo", choices=SIZES)
    add("--device", default="cpu")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(DATASETS[args.network], args.data)
    runs = learning_of(args.size, args.network)
    table = best_rate(runs, data, args.seed, args.device, progress("rate"))
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
