"""Poolers: FastSurfer on one slice, its max pooling replaced, not retrained."""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from roundoff import aggregate
from roundoff.embeddings.slices import choose_slice, plane, slice_inputs
from roundoff.images.mask import head_mask
from roundoff.inference import check_weights
from roundoff.poolers.fastsurfer import compare
from roundoff.scripting import add_model, assignments, model_of, run
from roundoff.seeds import derive_seed


def main() -> None:
    """Parse the command line, run every pooler, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--subject", required=True)
    add("--image", required=True, type=Path, help="conformed scan")
    add("--weight", action="append", default=[], metavar="ROLE=PATH")
    add("--view", default="coronal", choices=["axial", "coronal", "sagittal"])
    add("--samples", required=True, type=int)
    add("--seed", type=int, default=2026, help="master seed")
    add("--table", required=True, type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    spec = model_of(args)
    weights = {role: Path(path) for role, path in assignments(args.weight).items()}
    check_weights(spec, weights)
    network = spec.build(weights).modules()[args.view].eval()
    volume = np.asarray(nib.load(args.image).dataobj)
    head = head_mask(volume)
    number = choose_slice(head, args.view)
    seeds = [
        derive_seed(args.seed, args.subject, spec.name, "poolers", i + 1)
        for i in range(args.samples)
    ]
    inputs = slice_inputs(network, volume, args.view, number, spec.grid.voxel_size)
    inside = torch.from_numpy(np.ascontiguousarray(plane(head, args.view, number)))
    table = compare(network, inputs, inside, seeds)
    table.insert(0, "subject", args.subject)
    aggregate.save_table(args.table, table.assign(slice=number, samples=args.samples))


if __name__ == "__main__":
    run(main)
