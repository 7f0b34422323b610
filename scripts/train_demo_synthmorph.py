"""Train and judge the demo weights of SynthMorph: `train`, then `evaluate`."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

# One thread: the same order of sums, hence the same weights, on any number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from roundoff.atomic import write_text
from roundoff.scripting import run


def report(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def train(args: argparse.Namespace) -> None:
    """Draw label maps, train, and write weights and log."""
    import torch

    from roundoff.training.registration.loop import Recipe, train
    from roundoff.training.registration.maps import anatomy_map, draw_families
    from roundoff.training.registration.pairs import Pairs, typical_means
    from roundoff.training.registration.weights import save_weights
    from roundoff.training.segmentation.classes import load_classes
    from roundoff.training.segmentation.heads import load_head

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    heads = [load_head(path) for path in args.heads]
    maps = {h.name: (anatomy_map(h), len(load_classes()) - 1) for h in heads}
    families = draw_families(
        maps, args.poses, args.shapes, args.poses_of_shape, args.seed, report=report
    )
    typical = typical_means(heads[0]) if heads else None
    recipe = Recipe(
        steps=args.steps,
        coarse_steps=args.coarse_steps,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    stated = asdict(recipe) | {
        "heads": list(maps),
        "poses": args.poses,
        "shapes": args.shapes,
        "poses_of_shape": args.poses_of_shape,
    }

    def save(network) -> None:
        save_weights(network, args.output, stated)

    pairs = Pairs(families, typical, seed=args.seed)
    save(train(pairs, recipe, save=save, log=args.log, report=report))


def evaluate(args: argparse.Namespace) -> None:
    """Write a table of Dice before and after, and of folding, per pair."""
    from roundoff.training.registration import quality

    network = quality.load_network(args.network)
    lines = ["\t".join(quality.HEADER)]
    for row in rows(args, network):
        lines.append("\t".join(row.cells()))
        report(lines[-1])
    write_text(args.output, "\n".join(lines) + "\n")


def rows(args: argparse.Namespace, network):
    """Shape pairs, then every ordered pair of the scans."""
    from itertools import permutations

    from roundoff.training.registration import quality

    yield from quality.compare_shapes(network, args.shapes, args.seed)
    if args.scans:
        views = ("axial", "coronal", "sagittal")
        weights = {view: getattr(args, view) for view in views}
        placed = quality.label_scans(args.scans, weights)
        for moving, fixed in permutations(placed, 2):
            yield quality.compare_heads(network, moving, fixed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    fit = commands.add_parser("train", help="train the network")
    fit.set_defaults(call=train)
    fit.add_argument(
        "--heads",
        type=Path,
        nargs="*",
        default=[],
        help="labelled heads of `train_demo.py head`; none: shapes alone",
    )
    fit.add_argument("--log", type=Path, help="CSV of the overlap")
    fit.add_argument("--poses", type=int, default=40, help="a head (%(default)s)")
    fit.add_argument("--shapes", type=int, default=8, help="maps (%(default)s)")
    fit.add_argument("--poses-of-shape", type=int, default=4, help="(%(default)s)")
    fit.add_argument("--steps", type=int, default=2600, help="(%(default)s)")
    fit.add_argument(
        "--coarse-steps",
        type=int,
        default=2400,
        help="of them on every second voxel (%(default)s)",
    )
    fit.add_argument("--learning-rate", type=float, default=7e-4, help="(%(default)s)")
    fit.add_argument("--seed", type=int, default=1, help="(%(default)s)")

    judge = commands.add_parser("evaluate", help="overlap of pairs never seen")
    judge.set_defaults(call=evaluate)
    judge.add_argument("--network", type=Path, required=True, help="weights")
    judge.add_argument("--shapes", type=int, default=10, help="pairs (%(default)s)")
    judge.add_argument("--scans", type=Path, nargs="*", default=[], help="T1w")
    for view in ("axial", "coronal", "sagittal"):
        judge.add_argument(f"--{view}", type=Path, help="FastSurfer demo weights")
    judge.add_argument("--seed", type=int, default=1000, help="(%(default)s)")

    for command in (fit, judge):
        command.add_argument("--output", type=Path, required=True)
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
