"""Train and judge the demo weights of FONDUE: `train`, then `evaluate`."""

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
    """Draw volumes from the heads, train, and write weights and log."""
    import torch

    from roundoff.training.denoising.batches import Batches
    from roundoff.training.denoising.loop import Recipe, train
    from roundoff.training.denoising.volumes import draw_volumes, read_head
    from roundoff.training.denoising.weights import save_weights

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    heads = [read_head(path) for path in args.heads]
    volumes = draw_volumes(heads, args.volumes, args.seed, report=report)
    batches = Batches(volumes, args.batch, args.patch, seed=args.seed)
    recipe = Recipe(
        filters=args.filters,
        steps=args.steps,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    stated = asdict(recipe) | {
        "batch": args.batch,
        "patch": args.patch,
        "volumes": args.volumes,
        "heads": [path.name for path in args.heads],
    }

    def save(network) -> None:
        save_weights(network, args.output, stated)

    save(train(batches, recipe, save=save, log=args.log, report=report))


def evaluate(args: argparse.Namespace) -> None:
    """Write a table of PSNR: noisy, best Gaussian filter, network."""
    from roundoff.models.fondue.pipeline import build
    from roundoff.training.denoising.quality import HEADER, compare

    model = build(
        {"network": args.network},
        stacking="neighbours",
        base_resolution=2.0,
        batch_size=8,
    )
    lines = ["\t".join(HEADER)]
    for path in args.scans:
        for row in compare(model, path, args.sd, args.seed):
            lines.append("\t".join(row.cells()))
            report(lines[-1])
    write_text(args.output, "\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    fit = commands.add_parser("train", help="train the network")
    fit.set_defaults(call=train)
    fit.add_argument("--heads", type=Path, nargs="+", required=True, help="T1w NIfTI")
    fit.add_argument("--log", type=Path, help="CSV of the losses")
    fit.add_argument("--volumes", type=int, default=36, help="(%(default)s)")
    fit.add_argument("--steps", type=int, default=1200, help="(%(default)s)")
    fit.add_argument("--learning-rate", type=float, default=4e-3, help="(%(default)s)")
    fit.add_argument("--batch", type=int, default=2, help="patches (%(default)s)")
    fit.add_argument("--patch", type=int, default=96, help="pixels (%(default)s)")
    fit.add_argument("--filters", type=int, default=12, help="(%(default)s)")
    fit.add_argument("--seed", type=int, default=1, help="(%(default)s)")

    judge = commands.add_parser("evaluate", help="PSNR on heads never seen")
    judge.set_defaults(call=evaluate)
    judge.add_argument("--network", type=Path, required=True, help="weights")
    judge.add_argument("--scans", type=Path, nargs="+", required=True)
    judge.add_argument(
        "--sd", type=float, nargs="+", default=[9.0], help="noise, 0-255 (%(default)s)"
    )
    judge.add_argument("--seed", type=int, default=1, help="(%(default)s)")

    for command in (fit, judge):
        command.add_argument("--output", type=Path, required=True)
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
