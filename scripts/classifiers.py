"""Classifiers: gather the tables of the jobs, draw the figures, write the summary."""

import argparse
from pathlib import Path

import pandas as pd

from roundoff import aggregate
from roundoff.atomic import write_text
from roundoff.classifiers.report import PUBLISHED_TIES, published, summary
from roundoff.figures import classifiers as figures
from roundoff.scripting import run


def main() -> None:
    """Parse the command line, gather, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--scores", nargs="+", required=True, type=Path)
    add("--skipped", nargs="+", required=True, type=Path)
    add("--epochs", required=True, type=int)
    add("--folder", required=True, type=Path)
    args = parser.parse_args()
    scores, skipped = read(args.scores), read(args.skipped)
    aggregate.save_table(args.folder / "scores.tsv", scores)
    aggregate.save_table(args.folder / "skipped.tsv", skipped)
    draw(args.folder, scores, skipped, args.epochs)
    page = summary(scores, skipped, args.epochs)
    write_text(args.folder / "summary.md", page)


def read(paths: list[Path]) -> pd.DataFrame:
    """Tables, one below the other; thresholds stay text."""
    parts = [pd.read_csv(p, sep="\t", dtype={"threshold": str}) for p in paths]
    return pd.concat(parts, ignore_index=True)


def draw(
    folder: Path, scores: pd.DataFrame, skipped: pd.DataFrame, epochs: int
) -> None:
    """Draw all figures of the MNIST network."""
    mnist = scores[scores["network"] == "mnist"]
    lines = [
        f"MNIST network of the NaN study, trained here ({epochs} epochs) · "
        f"{int(mnist['images'].iloc[0])} test images in 5 folds"
    ]
    single = mnist[mnist["precision"] == "float32"]
    known = published()
    base = single[single["rule"].isin(PUBLISHED_TIES)]
    figures.thresholds(folder / "thresholds.png", base, known, lines)
    figures.tolerances(folder / "tolerances.png", single, lines)
    figures.precision(folder / "precision.png", mnist, lines)
    part = skipped[
        (skipped["network"] == "mnist") & (skipped["precision"] == "float32")
    ]
    part = part[part["rule"] == PUBLISHED_TIES[0]]
    figures.layers(folder / "layers.png", part, known, [*lines, "NaN filled by zero"])


if __name__ == "__main__":
    run(main)
