"""NaN operations in whole networks: one job of the sweep, or its figures.

nan_sweep.py brain    where the brain is, by a segmentation of the whole head
nan_sweep.py skip     what one mode skips and costs, over thresholds and tolerances
nan_sweep.py bits     significant bits under random rounding, converted or not
nan_sweep.py time     interleaved times of all settings
nan_sweep.py summary  tables over subjects, statistics, figures, summary.md
"""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from roundoff.aggregate import save_table
from roundoff.atomic import atomic_path, write_text
from roundoff.images.save import save_labels, save_sidecar
from roundoff.inference import check_weights
from roundoff.nan_sweep.files import MODES
from roundoff.nan_sweep.files import tables as table_files
from roundoff.nan_sweep.settings import settings_of
from roundoff.scripting import add_model, assignments, model_of, progress, run
from roundoff.seeds import derive_seed


def brain(args: argparse.Namespace) -> None:
    """Segment the head once, without perturbation, and keep where the labels are."""
    from roundoff.nan_sweep.scans import brain_of

    spec, weights = _spec(args)
    image = nib.load(args.image)
    title = f"brain of sub-{args.subject}"
    prediction = spec.build(weights).predict(
        np.asarray(image.dataobj), spec.grid.voxel_size, progress(title)
    )
    record = {"Description": f"brain: labels of {spec.title}, closed and filled"}
    save_sidecar(args.output, record | {"Type": "Brain", "Model": spec.name})
    mask = brain_of(prediction.labels).astype(np.uint8)
    save_labels(args.output, mask, image.affine)


def skip(args: argparse.Namespace) -> None:
    """Skipped shares and quality of one mode on one scan."""
    from roundoff.nan_sweep.measure import measure

    done = measure(_subject(args), _settings(args), args.stride, progress("skip"))
    files = assignments(args.output)
    for name in ("slices", "layers", "regions"):
        save_table(files[name], getattr(done, name))
    content = {f"map_{view}": values for view, values in done.maps.items()}
    content |= {f"plane_{view}": values for view, values in done.planes.items()}
    with atomic_path(files["maps"]) as path:
        np.savez_compressed(
            path,
            settings=json.dumps([s.columns for s in _settings(args)]),
            numbers=json.dumps(done.numbers),
            **content,
        )


def bits(args: argparse.Namespace) -> None:
    """Significant bits of one mode's networks and of the original."""
    from roundoff.instruments import get_instrument
    from roundoff.nan_sweep.bits import measure_bits

    seeds = [
        derive_seed(args.seed, args.subject, args.model, "nan_sweep", i + 1)
        for i in range(args.samples)
    ]
    output, blocks = measure_bits(
        _subject(args),
        _settings(args),
        get_instrument("native", **args.rounding),
        seeds,
        progress("bits"),
    )
    files = assignments(args.output)
    save_table(files["output"], output.assign(samples=args.samples))
    save_table(files["blocks"], blocks.assign(samples=args.samples))


def time(args: argparse.Namespace) -> None:
    """Times of all settings of both modes."""
    from roundoff.nan_sweep.timing import time_rows

    subject, settings = _subject(args), []
    for mode in MODES:
        settings += settings_of(mode, args.thresholds[mode], args.epsilons[-1:])
    save_table(args.output, time_rows(subject, settings, args.repeats, args.threads))


def summary(args: argparse.Namespace) -> None:
    """Everything that is read: tables over subjects, figures, summary.md."""
    from roundoff.nan_sweep.draw import draw_all
    from roundoff.nan_sweep.report import summary_text
    from roundoff.nan_sweep.tables import collect

    specs = {name: _named(name, args.custom_models) for name in args.models}
    study = collect(specs, args.subjects, args.scans, args.margins)
    for path in table_files():
        save_table(path, getattr(study, Path(path).stem))
    draw_all(study)
    write_text(args.output, summary_text(study))


def _named(name: str, custom: dict):
    from roundoff.models.registry import get_model

    return get_model(name, custom)


def _spec(args: argparse.Namespace):
    torch.set_num_threads(1)
    spec = model_of(args)
    weights = {role: Path(path) for role, path in assignments(args.weight).items()}
    check_weights(spec, weights)
    return spec, weights


def _subject(args: argparse.Namespace):
    from roundoff.nan_sweep.networks import build_subject
    from roundoff.nan_sweep.scans import add_noise, read_scan

    spec, weights = _spec(args)
    scan, inside, _ = read_scan(args.image, args.brain, args.scan)
    given = scan
    if args.noise and spec.task == "denoising":
        seed = derive_seed(args.seed, args.subject, spec.name, "noise", 1)
        given = add_noise(scan, args.noise, seed)
    return build_subject(spec, weights, scan, given, inside)


def _settings(args: argparse.Namespace):
    return settings_of(args.mode, args.thresholds[args.mode], args.epsilons)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for job in (brain, skip, bits, time):
        part = commands.add_parser(job.__name__, help=job.__doc__)
        part.set_defaults(job=job)
        _add_subject(part)
        if job is not brain:
            _add_sweep(part)
        if job in (skip, bits):
            part.add_argument("--mode", required=True, choices=MODES)
            part.add_argument("--output", action="append", metavar="ROLE=PATH")
        else:
            part.add_argument("--output", required=True, type=Path)
        if job is skip:
            part.add_argument("--stride", type=int, default=8)
        if job is bits:
            part.add_argument("--samples", type=int, default=5)
            part.add_argument(
                "--rounding", type=json.loads, default={}, help="JSON: native settings"
            )
        if job is time:
            part.add_argument("--repeats", type=int, default=7)
            part.add_argument("--threads", type=int, default=1)
    _add_summary(commands.add_parser("summary", help=summary.__doc__))
    return parser.parse_args()


def _add_subject(part: argparse.ArgumentParser) -> None:
    add_model(part)
    part.add_argument("--subject", required=True)
    part.add_argument("--image", required=True, type=Path, help="conformed scan")
    part.add_argument("--weight", action="append", default=[], metavar="ROLE=PATH")


def _add_sweep(part: argparse.ArgumentParser) -> None:
    add = part.add_argument
    add("--brain", required=True, type=Path, help="mask of the brain")
    add("--scan", default="stripped", choices=["stripped", "whole"])
    add("--noise", type=float, default=0.0, help="sd on 0-255, for denoising")
    add("--seed", type=int, default=2026, help="master seed")
    add("--thresholds", type=json.loads, required=True, help="JSON: mode to numbers")
    add("--epsilons", type=json.loads, default=["dtype"], help="JSON: tolerances")


def _add_summary(part: argparse.ArgumentParser) -> None:
    part.set_defaults(job=summary)
    add = part.add_argument
    add("--models", nargs="+", required=True)
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")
    add("--subjects", nargs="+", required=True)
    add("--scans", nargs="+", required=True)
    add("--margins", type=json.loads, required=True, help="JSON: measure to margin")
    add("--output", required=True, type=Path, help="summary.md")


def main() -> None:
    """Do the job that is asked for."""
    args = parse()
    args.job(args)


if __name__ == "__main__":
    run(main)
