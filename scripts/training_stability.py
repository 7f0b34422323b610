"""Stability of training: one training of an arm (`run`), what all show (`gather`)."""

import argparse
import os
from pathlib import Path

# One thread: the same order of sums, hence the same weights, on any number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from roundoff.scripting import run


def train_one(args: argparse.Namespace) -> None:
    """Train once and keep losses, weights and what they make of an unseen pair."""
    import torch

    from roundoff.training.history import progress_bar
    from roundoff.training.registration.probe import make_probe
    from roundoff.training.registration.setup import changed, make_task
    from roundoff.training.registration.sizes import get_size
    from roundoff.training.stability import save_traces, train_once

    torch.set_num_threads(1)
    size = changed(get_size(args.size), {"steps": args.steps, "seed": args.seed})
    task = make_task(size, args.label_maps, args.seed)
    arm, probe = (args.arm, args.number), make_probe(task)
    show = progress_bar(args.steps)
    arrays = train_once("synthmorph", task, size.schedule, *arm, probe, show)
    save_traces(args.output, arrays, args.arm)


def gather(args: argparse.Namespace) -> None:
    """Write tables, figures and a summary."""
    from roundoff.training.stability import load_arms
    from roundoff.training.stability_report import Words, write_report

    title = "Stability of the training of SynthMorph"
    words = Words(title, f"SynthMorph, size {args.size}", "the moved image")
    write_report(load_arms(args.runs), words, args.folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("run", help="one training of an arm")
    one.set_defaults(call=train_one)
    add = one.add_argument
    add("--arm", required=True, choices=["control", "rounding", "seeds"])
    add("--number", type=int, required=True, help="from 0 on")
    add("--steps", type=int, default=50, help="(%(default)s)")
    add("--label-maps", type=Path, nargs="*", default=[])
    add("--seed", type=int, default=0, help="master seed (%(default)s)")
    add("--output", type=Path, required=True)
    everything = commands.add_parser("gather", help="tables, figures, summary")
    everything.set_defaults(call=gather)
    everything.add_argument("--runs", type=Path, nargs="+", required=True)
    everything.add_argument("--folder", type=Path, required=True)
    for command in (one, everything):
        command.add_argument("--size", default="tiny", help="(%(default)s)")
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
