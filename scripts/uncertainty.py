"""From the samples of one subject and model to maps and tables of uncertainty."""

import argparse
from pathlib import Path

import nibabel as nib

from roundoff import aggregate
from roundoff.atomic import write_json
from roundoff.images.save import save_labels, save_map, save_sidecar
from roundoff.layout import sample_label
from roundoff.models.labels import load_label_table
from roundoff.scripting import add_model, assignments, model_of, run
from roundoff.uncertainty.significant_bits import BitsSettings
from roundoff.verify import require_grid, verify_samples


def main() -> None:
    """Parse the command line, measure, write."""
    args = parse()
    spec = model_of(args)
    outputs = assignments(args.output)
    runs = [sample_label(i + 1) for i in range(args.samples)]
    samples = [
        {role: p.replace("{sample}", r) for role, p in assignments(args.sample).items()}
        for r in runs
    ]
    first = spec.maps[0].name
    firsts = [Path(s[f"map_{first}"]) for s in samples]
    records = aggregate.check_samples(firsts)
    record = aggregate.summary_record(records, args.confidence)
    record["NonFiniteValues"] = {
        role: verify_samples([Path(s[role]) for s in samples], role, records)
        for role in samples[0]
    }
    require_grid(firsts, args.image, records)
    affine = nib.load(args.image).affine
    names, majority = {}, None
    if spec.labels:
        names = {row.index: row.name for row in load_label_table(spec.labels)}
        majority = write_labels(samples, names, outputs, affine, record)
    mask = aggregate.masked_region(args.image)
    measured = {}
    for m in spec.maps:
        paths = [Path(s[f"map_{m.name}"]) for s in samples]
        settings = BitsSettings(
            "relative",
            args.probability,
            args.confidence,
            record["Precision"].get(m.name),
        )
        measured[m.name] = aggregate.measure_map(paths, m, mask, settings)
        aggregate.save_bits(outputs, m, measured[m.name], affine, record)
    table = aggregate.region_bits(measured, majority, names)
    aggregate.save_table(outputs["bits_table"], table)
    write_json(outputs["summary"], record)


def write_labels(samples, names, outputs, affine, record):
    """Measure the label maps, write maps and tables, return the majority vote."""
    found = aggregate.measure_labels([Path(s["labels"]) for s in samples], names)
    save_sidecar(
        outputs["entropy"],
        {"Description": "entropy of the label over samples, nats", **record},
    )
    save_map(outputs["entropy"], found.entropy, affine)
    save_sidecar(
        outputs["majority"],
        {"Description": "majority label over samples", **record},
    )
    save_labels(outputs["majority"], found.majority, affine)
    aggregate.save_table(outputs["regions_table"], found.regions)
    aggregate.save_table(outputs["volumes_table"], found.volumes)
    return found.majority


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--image", required=True, type=Path, help="conformed scan, for the head mask")
    add("--samples", type=int, required=True, help="how many samples")
    add(
        "--sample",
        action="append",
        required=True,
        metavar="ROLE=PATTERN",
        help="files of the samples, with {sample} where 001, 002, ... stands",
    )
    add("--probability", type=float, default=0.95, help="of CNH bits")
    add("--confidence", type=float, default=0.95)
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
