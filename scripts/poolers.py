"""Poolers: gather the tables of the jobs, draw the figures, write the summary."""

import argparse
from pathlib import Path

import pandas as pd

from roundoff import aggregate
from roundoff.atomic import write_text
from roundoff.figures import poolers as figures
from roundoff.poolers import report
from roundoff.scripting import run
from roundoff.uncertainty.confidence import statement


def main() -> None:
    """Parse the command line, gather, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--trained", nargs="+", required=True, type=Path)
    add("--measured", nargs="+", required=True, type=Path)
    add("--fastsurfer", required=True, type=Path)
    add("--images", type=int, required=True, help="training images; 0: all")
    add("--folder", required=True, type=Path)
    args = parser.parse_args()
    curves = report.read(args.trained)
    found = report.accuracies(curves)
    stability = report.in_order(report.read(args.measured))
    fastsurfer = pd.read_csv(args.fastsurfer, sep="\t", dtype={"subject": str})
    images = f"{args.images} images" if args.images else "all images"
    tables = {"accuracy": found, "stability": stability, "fastsurfer": fastsurfer}
    for name, table in tables.items():
        aggregate.save_table(args.folder / f"{name}.tsv", table)
    number, epochs = int(found["trainings"].max()), int(found["epochs"].max())
    lines = [f"small CNN · {images}, {epochs} epochs · {number} trainings per point"]
    figures.accuracy(args.folder / "accuracy.png", found, lines)
    figures.curves(args.folder / "curves.png", curves, lines)
    sure = statement(int(stability["samples"].max())).replace(">=", "≥")
    lines = [f"trained small CNN, evaluation mode · native random rounding · {sure}"]
    figures.stability(args.folder / "stability.png", stability, lines)
    figures.ties(args.folder / "ties.png", stability, lines)
    row = fastsurfer.iloc[0]
    lines = [
        f"sub-{row['subject']}, demo weights, coronal slice {row['slice']}, head",
        f"native random rounding · {statement(int(row['samples']))}".replace(">=", "≥"),
    ]
    figures.fastsurfer(args.folder / "fastsurfer.png", fastsurfer, lines)
    page = report.summary(found, stability, fastsurfer, images)
    write_text(args.folder / "summary.md", page)


if __name__ == "__main__":
    run(main)
