"""Train the demo weights of FastSurferVINN, one step of the way per command.

head: label a head (its own segmentation, or a registered template's);
pool: draw random volumes from labelled heads; train: one view's network;
evaluate: Dice of the three networks against references they never saw.
"""

import argparse
import os
import sys
from pathlib import Path

# One thread: the same order of sums, hence the same weights, on any number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from roundoff.atomic import write_text
from roundoff.scripting import run

VIEW_NAMES = ("axial", "coronal", "sagittal")


def report(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def head(args: argparse.Namespace) -> None:
    """Write one labelled head."""
    from roundoff.training.segmentation.heads import (
        load_head,
        pseudo_labelled_head,
        save_head,
        template_head,
    )

    if args.segmentation:
        found = template_head(args.scan, args.segmentation, args.name)
    else:
        template = load_head(args.template)
        found = pseudo_labelled_head(
            args.scan, template, args.name, tuple(args.iterations), report
        )
    save_head(found, args.output)


def pool(args: argparse.Namespace) -> None:
    """Write a pool of random volumes."""
    from roundoff.training.segmentation.generator import Generator
    from roundoff.training.segmentation.heads import load_head
    from roundoff.training.segmentation.pool import write_pool

    heads = [load_head(path) for path in args.heads]
    shape = (args.size,) * 3
    generator = Generator(heads, shape, 256 / args.size, args.seed)
    write_pool(generator, args.volumes, args.output, report)


def train(args: argparse.Namespace) -> None:
    """Train one view, from `--state` on if it is there; write weights and log."""
    from dataclasses import asdict

    import torch

    from roundoff.models.checkpoints import load_tensors
    from roundoff.models.fastsurfer.views import VIEWS
    from roundoff.training.engine import fit
    from roundoff.training.history import progress_bar, write_history
    from roundoff.training.segmentation import task as segmentation
    from roundoff.training.segmentation.pool import open_pool
    from roundoff.training.segmentation.slices import Slices
    from roundoff.training.segmentation.weights import save_weights

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    images, labels = open_pool(args.pool)
    slices = Slices(images, labels, VIEWS[args.view], args.window, seed=args.seed)
    recipe = segmentation.Recipe(args.filters, args.filters_interpol)
    task = segmentation.make_task(slices, recipe)
    schedule = segmentation.make_schedule(
        args.steps, args.learning_rate, args.batch, args.seed
    )

    def start(network: torch.nn.Module) -> None:
        if args.start_from:
            segmentation.copy_matching(network, load_tensors(args.start_from))

    shown = {"report": progress_bar(args.steps), "start": start}
    network, rows = fit(task, schedule, state=args.state, **shown)
    if args.log:
        write_history(args.log, rows)
    stated = asdict(recipe) | asdict(schedule) | {"pixels": args.window}
    network = network.to(memory_format=torch.contiguous_format)
    save_weights(network, args.view, args.output, stated)
    if args.state:
        args.state.unlink(missing_ok=True)


def evaluate(args: argparse.Namespace) -> None:
    """Write a table of Dice per reference and structure."""
    from roundoff.training.segmentation.evaluation import (
        demo_segmentation,
        mean_of_large,
    )

    weights = {view: getattr(args, view) for view in VIEW_NAMES}
    model = demo_segmentation(weights)
    lines = ["reference\tstructure\tdice\tvoxels\treference_voxels"]
    for name, rows in comparisons(args, model):
        report(f"{name}: mean Dice of the large structures {mean_of_large(rows):.3f}")
        lines += [
            f"{name}\t{r.name}\t{r.dice:.4f}\t{r.voxels}\t{r.reference_voxels}"
            for r in rows
        ]
    write_text(args.output, "\n".join(lines) + "\n")


def comparisons(args: argparse.Namespace, model):
    """Name and agreements of each reference given."""
    import nibabel as nib

    from roundoff.training.segmentation import evaluation, references

    if args.voxelmorph_scan:
        scan, truth = references.read_voxelmorph_scan(args.voxelmorph_scan)
        found = evaluation.segment(model, scan)
        yield "voxelmorph_test_scan", evaluation.compare_freesurfer(found, truth)
    if args.aal:
        scan, truth, names = args.aal
        found = evaluation.segment(model, nib.load(scan))
        table = references.read_aal_names(Path(names))
        yield "colin27_aal", evaluation.compare_aal(found, nib.load(truth), table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    one = commands.add_parser("head", help="label a head")
    one.set_defaults(call=head)
    one.add_argument("--scan", type=Path, required=True, help="T1w NIfTI")
    one.add_argument("--name", required=True)
    given = one.add_mutually_exclusive_group(required=True)
    given.add_argument("--segmentation", type=Path, help="FreeSurfer ids of this scan")
    given.add_argument("--template", type=Path, help="labelled head to register")
    one.add_argument(
        "--iterations",
        type=int,
        nargs=3,
        default=(60, 80, 60),
        metavar=("COARSE", "MIDDLE", "FINE"),
        help="registration steps (%(default)s)",
    )

    draw = commands.add_parser("pool", help="draw random volumes")
    draw.set_defaults(call=pool)
    draw.add_argument("--heads", type=Path, nargs="+", required=True)
    draw.add_argument("--volumes", type=int, default=150, help="(%(default)s)")
    draw.add_argument("--size", type=int, default=128, help="voxels (%(default)s)")
    draw.add_argument("--seed", type=int, default=1, help="(%(default)s)")

    fit = commands.add_parser("train", help="train the network of one view")
    fit.set_defaults(call=train)
    fit.add_argument("--pool", type=Path, required=True)
    fit.add_argument("--view", choices=VIEW_NAMES, required=True)
    fit.add_argument("--start-from", type=Path, help="weights to start with")
    fit.add_argument("--log", type=Path, help="CSV of the losses")
    fit.add_argument("--state", type=Path, help="checkpoint to write and go on from")
    fit.add_argument("--steps", type=int, default=3000, help="(%(default)s)")
    fit.add_argument("--learning-rate", type=float, default=8e-3, help="(%(default)s)")
    fit.add_argument("--batch", type=int, default=8, help="slices (%(default)s)")
    fit.add_argument("--window", type=int, default=96, help="pixels (%(default)s)")
    fit.add_argument("--filters", type=int, default=14, help="(%(default)s)")
    fit.add_argument("--filters-interpol", type=int, default=8, help="(%(default)s)")
    fit.add_argument("--seed", type=int, default=1, help="(%(default)s)")

    judge = commands.add_parser("evaluate", help="Dice against references")
    judge.set_defaults(call=evaluate)
    for view in VIEW_NAMES:
        judge.add_argument(f"--{view}", type=Path, required=True, help="weights")
    judge.add_argument("--voxelmorph-scan", type=Path, help="test_scan.npz")
    judge.add_argument("--aal", nargs=3, metavar=("SCAN", "LABELS", "NAMES"))

    for command in (one, draw, fit, judge):
        command.add_argument("--output", type=Path, required=True)
    return parser


def main() -> None:
    """Parse the command line and call the command."""
    args = _parser().parse_args()
    args.call(args)


if __name__ == "__main__":
    run(main)
