"""ReLU'(0): the hyperplane of one neuron, where an exact zero was met."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_mnist
from roundoff.relu_zero.plane import find_event, plane_table
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, find a zero, map what is around it."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mnist", required=True, type=Path, help="converted data set")
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    event = find_event(load_mnist(args.mnist).train, args.seed)
    aggregate.save_table(args.table, plane_table(event))


if __name__ == "__main__":
    run(main)
