"""ReLU'(0): first batch of CIFAR-10 whose two gradients differ."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_cifar10
from roundoff.relu_zero.first_batch import first_batch_table
from roundoff.relu_zero.sizes import DATASETS, PRECISIONS
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, draw, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--cifar10", required=True, type=Path, help="converted data set")
    add("--network", required=True, choices=DATASETS)
    add("--precision", required=True, choices=PRECISIONS)
    add("--draws", type=int, default=3)
    add("--batches", type=int, default=40, help="at most, per draw")
    add("--device", default="cpu")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = first_batch_table(
        args.network,
        args.precision,
        range(args.draws),
        load_cifar10(args.cifar10).train,
        args.batches,
        args.seed,
        args.device,
        progress("networks"),
    )
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
