"""One sample: run a model once on a conformed scan under an instrument."""

import argparse
import json
from pathlib import Path

from roundoff.images.save import save_labels, save_map, save_sidecar
from roundoff.inference import Sample, run_sample
from roundoff.instruments import get_instrument
from roundoff.scripting import add_model, assignments, model_of, progress, run


def main() -> None:
    """Parse the command line, run the sample, write maps, labels and sidecars."""
    args = parse()
    spec = model_of(args)
    instrument = get_instrument(args.instrument, **args.settings)
    sample = Sample(args.subject, args.model, args.instrument, args.sample, args.seed)
    weights = {role: Path(path) for role, path in assignments(args.weight).items()}
    prediction, affine, record = run_sample(
        spec, sample, args.image, weights, instrument, progress(spec.name)
    )
    outputs = assignments(args.output)
    for output in outputs.values():
        save_sidecar(output, record)
    if "labels" in outputs:
        save_labels(outputs["labels"], prediction.labels, affine)
    for name, values in prediction.maps.items():
        save_map(outputs[f"map_{name}"], values, affine)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--subject", required=True)
    add("--image", required=True, type=Path, help="conformed scan")
    add("--weight", action="append", default=[], metavar="ROLE=PATH")
    add("--instrument", required=True, choices=["ieee", "native"])
    add("--settings", type=json.loads, default={}, help="JSON: instrument settings")
    add("--sample", required=True, type=int, help="index of the sample, from 1")
    add("--seed", required=True, type=int)
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
