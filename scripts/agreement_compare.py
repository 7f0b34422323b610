"""Compare the bits of one network's outputs under the native instrument and Verrou."""

import argparse
from pathlib import Path

import pandas as pd

from roundoff import aggregate
from roundoff.agreement.compare import noise, pair, summarise
from roundoff.figures.agreement import agreement
from roundoff.instruments.reduction import computed_part
from roundoff.scripting import add_model, model_of, run


def main() -> None:
    """Parse the command line, compare every map, write the table and the figure."""
    args = parse()
    spec = model_of(args)
    mask = aggregate.masked_region(args.image)
    folders = {"native": args.native, "verrou": args.verrou}
    rows, outputs = [], {}
    for m in spec.maps:
        files = {k: [f / f"map_{m.name}.nii.gz" for f in v] for k, v in folders.items()}
        for paths in files.values():
            aggregate.check_samples(paths)
        voxels = pair(files["native"], files["verrou"], mask)
        outputs[m.title] = voxels
        row = {"model": spec.title, "part": computed_part(spec)}
        row |= {"subject": args.subject, "map": m.name}
        rows.append(row | summarise(voxels, len(args.native)))
    aggregate.save_table(args.table, pd.DataFrame(rows))
    part = computed_part(spec)
    lines = [
        " · ".join(
            filter(None, [f"sub-{args.subject}", spec.title, spec.weights_kind, part])
        ),
        f"{args.mode} rounding, {len(args.native)} samples by each instrument; native "
        "adds in the order of the AVX2 kernels",
    ]
    title = "Significant bits, native rounding against Verrou"
    agreement(args.figure, outputs, title, lines, noise(len(args.native)))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--subject", required=True)
    add("--image", required=True, type=Path, help="conformed scan, for the head mask")
    add("--native", nargs="+", required=True, type=Path, help="folders of samples")
    add("--verrou", nargs="+", required=True, type=Path, help="folders of samples")
    add("--mode", required=True, help="rounding mode, for the figure")
    add("--table", required=True, type=Path)
    add("--figure", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
