"""ReLU'(0): draw networks along an axis, note where their two gradients differ."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_mnist
from roundoff.relu_zero.draws import draw_table
from roundoff.relu_zero.sizes import AXES, PRECISIONS, draws_of
from roundoff.scripting import progress, run


def main() -> None:
    """Parse the command line, draw, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mnist", required=True, type=Path, help="converted data set")
    add("--axis", required=True, choices=AXES)
    add("--precision", required=True, choices=PRECISIONS)
    add("--draws", required=True, type=draws_of, help="first-last, e.g. 0000-0049")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train = load_mnist(args.mnist).train
    report = progress("draws")
    table = draw_table(args.axis, args.precision, args.draws, train, args.seed, report)
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
