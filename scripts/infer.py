"""One sample: run a model once on a conformed scan under an instrument."""

import argparse
import json
import os
import sys
from pathlib import Path

from roundoff.images.save import save_labels, save_map, save_sidecar, sidecar_of
from roundoff.inference import Sample, check_weights, run_sample
from roundoff.instruments import get_instrument
from roundoff.instruments.rerun import (
    needs_valgrind,
    note_libraries,
    own_place,
    place,
    rerun,
)
from roundoff.runtimes.scripts import add_runtime, sent
from roundoff.scripting import add_model, assignments, model_of, progress, run
from roundoff.watchdog import limit_time


def main() -> None:
    """Parse the command line, run the sample, write maps, labels and sidecars."""
    args = parse()
    weights = {role: Path(path) for role, path in assignments(args.weight).items()}
    outputs = assignments(args.output)
    if sent(args, [args.image, *weights.values()], written(args, outputs)):
        return
    if minutes := os.environ.get("ROUNDOFF_TIME_LIMIT"):
        words = (
            f"no result after {minutes} minutes, the time_limit of config.yaml: raise "
            "it if this model takes longer, and run again."
        )
        limit_time(float(minutes), words)
    spec = model_of(args)
    if needs_valgrind(args.instrument, args.settings):
        check_weights(spec, weights)
        spec.build(weights)  # loads every library the child will load
        under_valgrind(args, [Path(path) for path in outputs.values()])
        return
    instrument = get_instrument(args.instrument, **args.settings)
    label = args.label or args.instrument
    sample = Sample(args.subject, args.model, label, args.sample, args.seed)
    prediction, affine, record = run_sample(
        spec, sample, args.image, weights, instrument, progress(spec.name)
    )
    outputs = {role: own_place(path) for role, path in outputs.items()}
    for output in outputs.values():
        save_sidecar(output, record)
    if "labels" in outputs:
        save_labels(outputs["labels"], prediction.labels, affine)
    for name, values in prediction.maps.items():
        save_map(outputs[f"map_{name}"], values, affine)
    note_libraries()


def under_valgrind(args: argparse.Namespace, images: list[Path]) -> None:
    """Run this script again under Valgrind, then put its files in their places."""
    sidecars = [sidecar_of(image) for image in images]
    stem = args.evidence or images[0].with_suffix("").with_suffix("")
    evidence = rerun(
        sys.argv, args.instrument, args.settings, args.seed, [*images, *sidecars], stem
    )
    place(evidence, {s: evidence.files[s] for s in sidecars})


def written(args: argparse.Namespace, outputs: dict[str, str]) -> list[Path]:
    """Every file a sample leaves."""
    images = [Path(path) for path in outputs.values()]
    files = [*images, *map(sidecar_of, images)]
    if args.evidence and needs_valgrind(args.instrument, args.settings):
        files.append(args.evidence)
    return files


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    add = parser.add_argument
    add("--subject", required=True)
    add("--image", required=True, type=Path, help="conformed scan")
    add("--weight", action="append", default=[], metavar="ROLE=PATH")
    add("--instrument", required=True, choices=["ieee", "native", "verrou"])
    add("--label", help="what the sample is called; the instrument when left out")
    add("--settings", type=json.loads, default={}, help="JSON: instrument settings")
    add("--sample", required=True, type=int, help="index of the sample, from 1")
    add("--seed", required=True, type=int)
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    add(
        "--evidence",
        type=Path,
        metavar="STEM",
        help="under Valgrind: STEM_exclusions.txt and STEM_valgrind.log are kept",
    )
    add_runtime(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
