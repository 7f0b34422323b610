"""Samples of one subject, model and role: each by infer.py, in a process of its own.

Arguments after those below go to infer.py; {sample} in them stands for the sample. One
sample is computed in place; several are kept aside until all are done, so that a batch
which was killed goes on where it was.
"""

import argparse
import os
import sys
from pathlib import Path

from roundoff.scripting import assignments, run
from roundoff.seeds import derive_seed


def main() -> None:
    """Parse the command line; run one sample or a batch."""
    args, rest = parse()
    if len(args.samples) == 1:
        command = command_of(args, rest, args.samples[0])
        sys.stderr.flush()
        os.execv(command[0], command)
    from roundoff.batches import run_batch

    tasks = [task_of(args, rest, sample) for sample in args.samples]
    run_batch(tasks, Path(f"{args.aside}_{args.samples[0]}-{args.samples[-1]}"))


def command_of(args: argparse.Namespace, rest: list[str], sample: str) -> list[str]:
    """The call of infer.py for one sample."""
    number = int(sample)
    seed = derive_seed(args.seed, args.subject, args.model, args.label, number)
    script = Path(__file__).with_name("infer.py")
    command = [sys.executable, str(script), "--model", args.model]
    command += ["--subject", args.subject, "--label", args.label]
    command += ["--image", str(args.image), "--sample", str(number)]
    command += ["--seed", str(seed), *(f"--weight={w}" for w in args.weight)]
    command += [f"--output={output}" for output in args.output] + rest
    return [part.replace("{sample}", sample) for part in command]


def task_of(args: argparse.Namespace, rest: list[str], sample: str):
    """One sample of a batch."""
    from roundoff.batches import Task
    from roundoff.images.save import sidecar_of

    named = assignments(args.output)
    aside = {role: f"{{folder}}/{Path(path).name}" for role, path in named.items()}
    args = argparse.Namespace(**vars(args))
    args.output = [f"{role}={path}" for role, path in aside.items()]
    images = [Path(path.replace("{sample}", sample)) for path in named.values()]
    return Task(
        command=command_of(args, rest, sample),
        inputs=[args.image, *map(Path, assignments(args.weight).values())],
        outputs=[file for image in images for file in (image, sidecar_of(image))],
        log=Path(args.log.replace("{sample}", sample)),
        benchmark=Path(args.benchmark.replace("{sample}", sample)),
    )


def parse() -> tuple[argparse.Namespace, list[str]]:
    """The command line; what is not known here is infer.py's."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--samples", nargs="+", required=True, help="labels, e.g. 001 002")
    add("--model", required=True)
    add("--subject", required=True)
    add("--label", required=True, help="role of the samples, e.g. native")
    add("--image", required=True, type=Path)
    add("--seed", required=True, type=int, help="master seed")
    add("--weight", action="append", default=[], metavar="ROLE=PATH")
    add("--output", action="append", required=True, metavar="ROLE=PATH")
    add("--aside", required=True, help="folder for the samples of an unfinished batch")
    add("--log", required=True, help="log of a sample, in a batch")
    add("--benchmark", required=True, help="time and memory of a sample, in a batch")
    return parser.parse_known_args()


if __name__ == "__main__":
    run(main)
