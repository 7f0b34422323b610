"""One sample: run a model once on a conformed scan under an instrument."""

import argparse
import json
import sys
from pathlib import Path

from roundoff.images.save import save_labels, save_map, save_sidecar
from roundoff.inference import Sample, run_sample
from roundoff.instruments import get_instrument
from roundoff.models.registry import get_model
from roundoff.scripting import assignments, progress, run


def main() -> None:
    """Parse the command line, run the sample, write maps, labels and sidecars."""
    args = parse()
    sys.path.append(str(Path.cwd()))  # factories of the user's own models
    spec = get_model(args.model, args.custom_models).with_options(args.options)
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
    add = parser.add_argument
    add("--model", required=True, help="name in the registry")
    add("--options", type=json.loads, default={}, help="JSON: options of the model")
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")
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
