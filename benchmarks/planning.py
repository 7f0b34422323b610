"""Time and memory of planning a large study (a dry run), without computing anything.

    python benchmarks/planning.py                        # 1000 subjects x 10 x 3
    python benchmarks/planning.py --subjects 100 350 1000
    python benchmarks/planning.py --batch 1              # one job per sample
    python benchmarks/planning.py --profile plan.prof    # where the time goes

Two calls each: `dry run` (snakemake -n) formats every job for printing, and is the
first that reads the scans; `planning` (snakemake -n --quiet rules progress) does what a
real run does before its first job. Processor seconds are steadier than wall seconds on
a busy machine. Scans are small; each is read once and remembered.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
MODELS = ["fastsurfer_demo", "fondue_demo", "deepbrain"]


@dataclass(frozen=True)
class Plan:
    """What one dry run took."""

    text: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def make_study(folder: Path, subjects: int, settings: dict) -> None:
    """Write small scans and a configuration for this many subjects."""
    scans = folder / "scans"
    scans.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["id\tpath"]
    for number in range(1, subjects + 1):
        path = scans / f"{number:05d}.nii.gz"
        values = random.integers(0, 255, (4, 4, 4)).astype(np.uint8)
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        rows.append(f"{number:05d}\t{path.relative_to(folder)}")
    (folder / "subjects.tsv").write_text("\n".join(rows) + "\n")
    config = {"subjects": "subjects.tsv", **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def plan(folder: Path, arguments: list[str], profile: Path | None = None) -> Plan:
    """Dry-run the study in `folder` in a process of its own, and measure it."""
    python = [sys.executable]
    if profile:
        python += ["-m", "cProfile", "-o", str(profile)]
    command = [*python, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--dry-run", "--cores", "1", *arguments]
    with tempfile.TemporaryFile("w+") as stream:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        stream.seek(0)
        text = stream.read()
    if status:
        raise SystemExit(f"the dry run failed:\n{text[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Plan(text, wall, cpu, usage.ru_maxrss / 1024)


def jobs_of(text: str) -> tuple[int, int]:
    """Jobs, and those of them that run samples, from the output of a dry run."""
    counts = dict(re.findall(r"^([\w-]+) +(\d+)$", text, flags=re.MULTILINE))
    samples = sum(int(n) for rule, n in counts.items() if rule.startswith("infer"))
    return int(counts["total"]), samples


def main() -> None:
    """Plan each size and print a row for its first and its second call."""
    args, rest = parse()
    settings = {"models": args.models, "samples": args.samples}
    if args.batch is not None:
        settings["batch"] = args.batch
    print(
        "subjects  jobs  with samples  call      wall s    cpu s  peak MB", flush=True
    )
    for subjects in args.subjects:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "study"
            make_study(folder, subjects, settings)
            whole = plan(folder, ["--quiet", "rules", *rest])
            jobs, samples = jobs_of(whole.text)
            quiet = ["--quiet", "rules", "progress", *rest]
            part = plan(folder, quiet, args.profile)
            for call, done in (("dry run", whole), ("planning", part)):
                print(
                    f"{subjects:8} {jobs:5} {samples:13}  {call:8} {done.wall_s:7.1f} "
                    f"{done.cpu_s:8.1f} {done.peak_mb:8.0f}",
                    flush=True,
                )


def parse() -> tuple[argparse.Namespace, list[str]]:
    """The command line; what is not known here goes to snakemake."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--subjects", nargs="+", type=int, default=[1000])
    add("--samples", type=int, default=10)
    add("--models", nargs="+", default=MODELS)
    add("--batch", type=int, help="samples per job; the configuration's default")
    add("--profile", type=Path, help="cProfile output of the second call")
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
