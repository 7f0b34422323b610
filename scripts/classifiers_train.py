"""Classifiers: train the MNIST network of the NaN study."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.classifiers.training import train
from roundoff.data.classification import load_dataset
from roundoff.scripting import progress, run
from roundoff.training.weights import write_weights


def main() -> None:
    """Parse the command line, train, write weights and the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="converted MNIST")
    add("--epochs", required=True, type=int)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    add("--weights", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("mnist", args.data)
    network, table = train(data, args.epochs, args.seed, report=progress("MNIST"))
    write_weights(network, args.weights, {"epochs": str(args.epochs)})
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
