"""Poolers: train the small network with one pooler, from one seed."""

import argparse
from pathlib import Path

import torch

from roundoff import aggregate
from roundoff.data.classification import load_dataset
from roundoff.poolers import POOLERS
from roundoff.poolers.sizes import DATASETS
from roundoff.poolers.training import train
from roundoff.scripting import progress, run
from roundoff.seeds import derive_seed
from roundoff.training.weights import write_weights


def main() -> None:
    """Parse the command line, train, write the curve and the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--dataset", required=True, choices=DATASETS)
    add("--data", required=True, type=Path, help="converted data set")
    add("--pooler", required=True, choices=POOLERS)
    add("--number", required=True, type=int, help="which training, from 1")
    add("--images", type=int, help="training images; all when left out")
    add("--epochs", required=True, type=int)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    add("--weights", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, table = train(
        args.pooler,
        load_dataset(args.dataset, args.data),
        args.images,
        args.epochs,
        derive_seed(args.seed, args.dataset, "poolers", "training", args.number),
        progress(args.pooler),
    )
    names = {"dataset": args.dataset, "pooler": args.pooler, "training": args.number}
    for place, (name, value) in enumerate(names.items()):
        table.insert(place, name, value)
    metadata = {name: str(value) for name, value in names.items()}
    write_weights(network, args.weights, metadata | {"epochs": str(args.epochs)})
    aggregate.save_table(args.table, table)


if __name__ == "__main__":
    run(main)
