"""Classifiers: one network under one tie rule, over the thresholds."""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from roundoff import aggregate
from roundoff.classifiers.evaluate import evaluate
from roundoff.classifiers.rules import DTYPES, RULES, THRESHOLDS, converted
from roundoff.classifiers.training import images_of
from roundoff.data.classification import Split, load_dataset
from roundoff.data.classification.folder import ImageFolder
from roundoff.models.classifiers import MnistCnn, load_xception
from roundoff.scripting import progress, run
from roundoff.seeds import derive_seed

# Published: Xception's pools make NaN with this probability, images one by one.
XCEPTION_CHANCE, XCEPTION_THRESHOLDS = 0.8, (1.0, 0.75, 0.5, 0.25)


def main() -> None:
    """Parse the command line, evaluate, write scores and skipped shares."""
    args = parse()
    torch.set_num_threads(1)
    dtype = DTYPES[args.precision]
    mnist = args.network == "mnist"
    images, labels, network = (mnist_of if mnist else xception_of)(args)
    network, images = network.to(dtype), images.to(dtype)
    thresholds = THRESHOLDS if mnist else XCEPTION_THRESHOLDS
    report = progress(f"{args.network}, {args.precision}, {args.rule}")
    rows, skipped = [], []
    for number, threshold in enumerate((None, *thresholds)):
        made = network if threshold is None else convert_for(network, threshold, args)
        found, table = evaluate(made, images, labels, 500 if mnist else 1)
        name = "default" if threshold is None else f"{threshold:g}"
        common = {
            "network": args.network,
            "precision": args.precision,
            "rule": args.rule,
            "threshold": name,
        }
        rows.append(common | {"images": len(labels)} | found)
        skipped += [common | row for row in table.to_dict("records")]
        report(
            (number + 1) / (len(thresholds) + 1), f"T {name}: {found['accuracy']:.2f} %"
        )
    aggregate.save_table(args.table, pd.DataFrame(rows))
    columns = [*common, "layer", "share", "skipped", "macs"]
    aggregate.save_table(args.skipped, pd.DataFrame(skipped, columns=columns))


def convert_for(network, threshold: float, args: argparse.Namespace):
    """The converted network; draws of Xception's pools from a seed of their own."""
    if args.network == "mnist":
        return converted(network, args.rule, threshold)
    seed = derive_seed(args.seed, "xception", "classifiers", args.rule, 1)
    generator = torch.Generator().manual_seed(seed)
    return converted(network, args.rule, threshold, generator, XCEPTION_CHANCE)


def mnist_of(args: argparse.Namespace):
    """Test images, labels, the trained network."""
    split = load_dataset("mnist", args.data).test
    network = MnistCnn()
    network.load_state_dict(load_file(args.weights))
    # Evenly spaced: the halves of this test set come from different writers.
    step = max(1, len(split.labels) // args.images)
    chosen = Split(split.images[::step], split.labels[::step])
    return images_of(chosen, args.images), chosen.labels[: args.images], network.eval()


def xception_of(args: argparse.Namespace):
    """Pictures in -1 to 1, labels, the network with the user's weights."""
    folder = ImageFolder(args.data, 333, 299)
    pairs = list(islice(iter(folder), args.images))
    pixels = torch.from_numpy(np.stack([image for image, _ in pairs])).float()
    labels = np.array([label for _, label in pairs])
    return pixels / 127.5 - 1, labels, load_xception(args.weights)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--network", required=True, choices=["mnist", "xception"])
    add("--data", required=True, type=Path, help="converted MNIST, or a folder")
    add("--weights", required=True, type=Path)
    add("--precision", required=True, choices=DTYPES)
    add("--rule", required=True, choices=RULES)
    add("--images", required=True, type=int)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    add("--skipped", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
