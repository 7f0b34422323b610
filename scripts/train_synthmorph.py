"""Train SynthMorph and judge it: `train`, `evaluate`.

`train` also runs in several processes: torchrun --standalone --nproc-per-node 4
scripts/train_synthmorph.py train ... (docs/training.md).
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

# One thread: the same order of sums, hence the same weights, on any number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from roundoff.scripting import run


def train(args: argparse.Namespace) -> None:
    """Train; write checkpoint, weights, log and loss curve."""
    import torch

    from roundoff.training.engine import fit
    from roundoff.training.history import progress_bar, write_history
    from roundoff.training.processes import joined
    from roundoff.training.registration.setup import make_task
    from roundoff.training.registration.weights import save_weights

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    size = _size(args)
    task = make_task(size, args.label_maps, args.seed, args.heads)
    with joined(args.slurm) as world:
        show = progress_bar(size.schedule.steps) if world.leads else lambda row: None
        network, rows = fit(
            task, size.schedule, world=world, state=args.state, report=show
        )
        if world.leads:
            stated = {"size": args.size, "seed": args.seed}
            save_weights(network, args.output, stated | asdict(size.recipe))
            write_history(args.log, rows)
            _draw_curve(args, rows)


def _size(args: argparse.Namespace):
    from dataclasses import replace

    from roundoff.training.registration.setup import changed
    from roundoff.training.registration.sizes import get_size

    names = ("steps", "batch", "patience", "memory")
    size = changed(get_size(args.size), {name: getattr(args, name) for name in names})
    return replace(size, schedule=replace(size.schedule, seed=args.seed))


def _draw_curve(args: argparse.Namespace, rows: list) -> None:
    from roundoff.figures.training import loss_curve

    kind = "label maps" if args.label_maps else "random shapes"
    kind = "labelled heads" if args.heads else kind
    line = f"SynthMorph, size {args.size} · {kind} · seed {args.seed}"
    loss_curve(args.curve, rows, "Training of SynthMorph", [line])


def evaluate(args: argparse.Namespace) -> None:
    """Write overlap before and after and folding per unseen pair, and a picture."""
    from roundoff.atomic import write_text
    from roundoff.figures.training import pairs
    from roundoff.training.registration import quality
    from roundoff.training.registration.setup import make_task, unseen
    from roundoff.training.registration.sizes import get_size

    size = get_size(args.size)
    network = quality.load_network(args.network, size)
    task = make_task(size, args.label_maps, args.seed, args.heads)
    made = [
        quality.register(network, *two)
        for two in quality.synthetic_pairs(unseen(task), args.pairs)
    ]
    heads = list(_head_pairs(args, size, network))
    lines = [item.overlap.cells() for item in made + heads]
    table = "\n".join("\t".join(cells) for cells in [quality.HEADER, *lines])
    write_text(args.table, table + "\n")
    shown = made[:3] + heads[:3]
    pairs(args.picture, shown, "Pairs never seen", [_words("synthetic", made),
          _words("heads", heads)])  # fmt: skip


def _head_pairs(args: argparse.Namespace, size, network):
    """Every ordered pair of the scans, registered."""
    from itertools import permutations

    from roundoff.training.registration import quality

    if args.scans:
        views = ("axial", "coronal", "sagittal")
        weights = {view: getattr(args, view) for view in views}
        placed = quality.label_scans(args.scans, weights, size)
        for moving, fixed in permutations(placed, 2):
            yield quality.register(network, moving, fixed)


def _words(kind: str, made: list) -> str:
    if not made:
        return ""
    count = len(made)
    before, after, folded = (
        sum(getattr(m.overlap, name) for m in made) / count
        for name in ("before", "after", "folded_percent")
    )
    return (
        f"{kind}, {count} pairs: mean Dice {before:.3f} → {after:.3f}, "
        f"folded {folded:.2f} %"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    fit = commands.add_parser("train", help="train the network")
    fit.set_defaults(call=train)
    add = fit.add_argument
    add("--steps", type=int, help="instead of the size's own")
    add("--batch", type=int, help="pairs per step over all processes")
    add("--patience", type=int, help="windows without a lower loss before stopping")
    add("--memory", choices=["plain", "checkpoint"])
    add("--slurm", action="store_true", help="processes are the tasks of one srun")
    add("--state", type=Path, required=True, help="checkpoint; gone on from if there")
    add("--output", type=Path, required=True, help="weights, safetensors")
    add("--log", type=Path, required=True, help="CSV of loss and Dice")
    add("--curve", type=Path, required=True, help="PNG of the same")

    judge = commands.add_parser("evaluate", help="overlap of pairs never seen")
    judge.set_defaults(call=evaluate)
    add = judge.add_argument
    add("--network", type=Path, required=True, help="weights")
    add("--pairs", type=int, default=20, help="synthetic ones (%(default)s)")
    add("--scans", type=Path, nargs="*", default=[], help="T1w heads, .npz or NIfTI")
    for view in ("axial", "coronal", "sagittal"):
        add(f"--{view}", type=Path, help="FastSurfer demo weights, to label the scans")
    add("--table", type=Path, required=True)
    add("--picture", type=Path, required=True)

    for command in (fit, judge):
        command.add_argument("--size", default="demo", help="(%(default)s)")
        command.add_argument("--label-maps", type=Path, nargs="*", default=[])
        command.add_argument(
            "--heads", type=Path, nargs="*", default=[], help="of train_demo.py head"
        )
        command.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
