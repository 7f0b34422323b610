"""Digits after every block of FastSurfer on one slice: where they are lost."""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from roundoff import aggregate
from roundoff.embeddings.capture import capture_samples
from roundoff.embeddings.measure import digit_maps, zone_table, zones
from roundoff.embeddings.slices import choose_slice, plane, slice_inputs
from roundoff.figures import embeddings as figures
from roundoff.images.mask import head_mask
from roundoff.inference import check_weights
from roundoff.instruments import get_instrument
from roundoff.scripting import add_model, assignments, model_of, run
from roundoff.seeds import derive_seed
from roundoff.uncertainty.confidence import statement


def main() -> None:
    """Parse the command line, capture, measure, draw."""
    args = parse()
    torch.set_num_threads(1)
    spec = model_of(args)
    weights = {role: Path(path) for role, path in assignments(args.weight).items()}
    check_weights(spec, weights)
    network = spec.build(weights).modules()[args.view].eval()
    volume = np.asarray(nib.load(args.image).dataobj)
    brain = np.asarray(nib.load(args.labels).dataobj) > 0
    number = choose_slice(brain, args.view, args.slice)
    seeds = [
        derive_seed(args.seed, args.subject, spec.name, "embeddings", i + 1)
        for i in range(args.samples)
    ]
    blocks = capture_samples(
        network,
        slice_inputs(network, volume, args.view, number, spec.grid.voxel_size),
        get_instrument(args.instrument, **args.settings),
        seeds,
    )
    maps = digit_maps(blocks)
    image, head, inside = (
        plane(v, args.view, number) for v in (volume, head_mask(volume), brain)
    )
    table = zone_table(maps, zones(image, head, inside))
    aggregate.save_table(args.table, table)
    lines = [
        f"sub-{args.subject} · {spec.title} ({spec.weights_kind}) · {args.view} view, "
        f"slice {number}",
        f"{args.instrument} ({args.settings.get('mode', 'nearest')}) · mean over "
        f"channels · {statement(args.samples).replace('>=', '≥')}",
    ]
    figures.montage(
        args.montage, image, maps, "Significant digits after every block", lines
    )
    figures.zone_profile(args.profile, table, "Where the digits are lost", lines)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--subject", required=True)
    add("--image", required=True, type=Path, help="conformed scan")
    add("--labels", required=True, type=Path, help="labels; non-zero is brain")
    add("--weight", action="append", default=[], metavar="ROLE=PATH")
    add("--view", default="coronal", choices=["axial", "coronal", "sagittal"])
    add("--slice", type=int, help="the slice with the largest brain when left out")
    add("--instrument", default="native", choices=["ieee", "native"])
    add("--settings", type=json.loads, default={}, help="JSON: instrument settings")
    add("--samples", type=int, default=10)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    add("--montage", required=True, type=Path)
    add("--profile", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
