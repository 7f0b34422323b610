"""Poolers: significant bits of a trained network and of its poolers."""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from roundoff import aggregate
from roundoff.data.classification import load_dataset
from roundoff.poolers import POOLERS
from roundoff.poolers.network import SmallCnn
from roundoff.poolers.sizes import DATASETS
from roundoff.poolers.stability import stability_table
from roundoff.poolers.training import pixels
from roundoff.scripting import run
from roundoff.seeds import derive_seed


def main() -> None:
    """Parse the command line, sample, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--dataset", required=True, choices=DATASETS)
    add("--data", required=True, type=Path, help="converted data set")
    add("--pooler", required=True, choices=POOLERS)
    add("--weights", required=True, type=Path)
    add("--images", required=True, type=int, help="test images")
    add("--samples", required=True, type=int)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    x, y = pixels(load_dataset(args.dataset, args.data).test, args.images)
    network = SmallCnn(args.pooler, x.shape[1], x.shape[2])
    network.load_state_dict(load_file(args.weights))
    seeds = [
        derive_seed(args.seed, args.dataset, args.pooler, "stability", i + 1)
        for i in range(args.samples)
    ]
    table = stability_table(network, x, y, seeds)
    table.insert(0, "pooler", args.pooler)
    table.insert(0, "dataset", args.dataset)
    aggregate.save_table(args.table, table.assign(samples=args.samples))


if __name__ == "__main__":
    run(main)
