"""Stability of the training of FastSurferVINN: `heads`, `run` (one), `gather`."""

import argparse
import os
from pathlib import Path

# One thread: the same order of sums, hence the same weights, on any number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from roundoff.scripting import run

VIEW = "coronal"
SHOWN = 3  # slices in the picture


def heads(args: argparse.Namespace) -> None:
    """Label heads by the demo segmentation, for training or to be shown."""
    from roundoff.training.segmentation.probe import label_heads, save_heads

    weights = {view: getattr(args, view) for view in ("axial", "coronal", "sagittal")}
    save_heads(label_heads(args.scans, weights), args.output)


def train_one(args: argparse.Namespace) -> None:
    """Train once and keep losses, weights and what they make of the unseen heads."""
    import torch

    from roundoff.models.checkpoints import load_tensors
    from roundoff.training.history import progress_bar
    from roundoff.training.segmentation import task as segmentation
    from roundoff.training.segmentation.probe import load_heads, make_probe
    from roundoff.training.stability import save_traces, train_once

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    slices = _slices(load_heads(args.training), args.window, args.seed)
    recipe = segmentation.Recipe(bfloat16=False)
    task = segmentation.make_task(slices, recipe)
    schedule = segmentation.make_schedule(
        args.steps, args.learning_rate, args.batch, args.seed
    )
    weights = load_tensors(args.start_from) if args.start_from else {}
    probe, show = make_probe(load_heads(args.unseen), slices), progress_bar(args.steps)
    arrays = train_once(
        "fastsurfer",
        task,
        schedule,
        args.arm,
        args.number,
        probe,
        show,
        start=lambda network: segmentation.copy_matching(network, weights),
    )
    save_traces(args.output, arrays, args.arm)


def gather(args: argparse.Namespace) -> None:
    """Write tables, figures and a summary."""
    from roundoff.training.segmentation.probe import load_heads, make_probe
    from roundoff.training.stability import load_arms
    from roundoff.training.stability_report import Words, write_report

    arms, heads = load_arms(args.runs), load_heads(args.unseen)
    line = f"FastSurferVINN, small, {VIEW} view · unseen: {', '.join(heads.names)}"
    title = "Stability of the training of FastSurferVINN"
    write_report(arms, Words(title, line, "the winning score"), args.folder)
    probe = make_probe(heads, _slices(heads, None, 0))
    _draw_votes(args.folder / "votes.png", arms, probe, line)


def _slices(heads, window: int | None, seed: int):
    from roundoff.models.fastsurfer.views import VIEWS
    from roundoff.training.segmentation.classes import tissues
    from roundoff.training.segmentation.slices import Slices

    options = {"seed": seed, "classes": tuple(tissues())}
    return Slices(heads.images, heads.labels, VIEWS[VIEW], window, **options)


def _draw_votes(path: Path, arms: dict, probe, line: str) -> None:
    import numpy as np

    from roundoff.figures.training import NAMES
    from roundoff.figures.votes import votes
    from roundoff.training.segmentation.classes import TISSUE_COLOURS
    from roundoff.uncertainty.entropy import vote_of_slab

    shape = probe.truth.shape
    brainy = np.argsort(-(probe.truth > 0).sum((1, 2)))
    chosen = np.sort(brainy[: 4 * SHOWN : 4])

    def upright(maps):
        return maps[chosen].transpose(0, 2, 1)  # rows run from left to right

    shown = {}
    for arm in ("rounding", "seeds"):
        vote = vote_of_slab(arms[arm].labels[:, -1])
        maps = (m.reshape(shape) for m in (vote.majority, vote.entropy))
        shown[NAMES[arm]] = tuple(upright(m) for m in maps)
    middle = probe.stacks.shape[1] // 2
    images, truth = upright(probe.stacks[:, middle].numpy()), upright(probe.truth)
    count = len(arms["seeds"].labels)
    lines = [line, f"{count} trainings per arm · reference: the demo weights' labels"]
    votes(path, images, truth, shown, TISSUE_COLOURS, count, lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    shown = commands.add_parser("heads", help="label heads")
    shown.set_defaults(call=heads)
    shown.add_argument("--scans", type=Path, nargs="+", required=True)
    for view in ("axial", "coronal", "sagittal"):
        shown.add_argument(f"--{view}", type=Path, required=True, help="weights")
    one = commands.add_parser("run", help="one training of an arm")
    one.set_defaults(call=train_one)
    add = one.add_argument
    add("--training", type=Path, required=True, help="labelled heads")
    add("--start-from", type=Path, help="weights to start with where they fit")
    add("--arm", required=True, choices=["control", "rounding", "seeds"])
    add("--number", type=int, required=True, help="from 0 on")
    add("--steps", type=int, default=80, help="(%(default)s)")
    add("--learning-rate", type=float, default=5e-3, help="(%(default)s)")
    add("--batch", type=int, default=4, help="slices (%(default)s)")
    add("--window", type=int, default=96, help="pixels (%(default)s)")
    add("--seed", type=int, default=0, help="master seed (%(default)s)")
    everything = commands.add_parser("gather", help="tables, figures, summary")
    everything.set_defaults(call=gather)
    everything.add_argument("--runs", type=Path, nargs="+", required=True)
    everything.add_argument("--folder", type=Path, required=True)
    for command in (shown, one):
        command.add_argument("--output", type=Path, required=True)
    for command in (one, everything):
        command.add_argument("--unseen", type=Path, required=True, help="heads")
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
