"""ReLU'(0): gather the tables of the jobs, draw the figures, write the summary."""

import argparse
from pathlib import Path

import pandas as pd

from roundoff import aggregate
from roundoff.atomic import write_text
from roundoff.figures import relu_zero as figures
from roundoff.relu_zero import tables
from roundoff.relu_zero.summary import summary
from roundoff.scripting import run

RUNS = "MNIST, default initialisation, no weight updates"


def main() -> None:
    """Parse the command line, gather, draw, write."""
    args = parse()
    args.folder.mkdir(parents=True, exist_ok=True)
    counts = tables.probabilities(tables.read_tables(args.draws))
    comparison = tables.read_tables(args.rounding)
    shares = tables.zero_shares(comparison)
    rounded = tables.rounding_probabilities(comparison)
    surprise = tables.read_tables(args.surprise)
    learning = tables.read_tables(args.learning)
    networks = tables.read_tables(args.networks)
    plane = tables.read_tables([args.plane])
    gathered = {
        "volume": counts,
        "zeros": shares,
        "rounding": rounded,
        "surprise": surprise,
        "learning": learning,
        "learning_rates": trials(args.rates),
        "networks": networks,
    }
    for name, table in gathered.items():
        if len(table):
            aggregate.save_table(args.folder / f"{name}.tsv", table)
    draw(args.folder, counts, shares, rounded, surprise, plane, learning, networks)
    page = summary(counts, shares, rounded, surprise, learning, networks)
    write_text(args.folder / "summary.md", page)


def draw(
    folder: Path,
    counts: pd.DataFrame,
    shares: pd.DataFrame,
    rounded: pd.DataFrame,
    surprise: pd.DataFrame,
    plane: pd.DataFrame,
    learning: pd.DataFrame,
    networks: pd.DataFrame,
) -> None:
    """Draw all figures into the folder."""
    most, least = counts["draws"].max(), counts["draws"].min()
    draws = f"{least} to {most}" if least < most else f"{most}"
    known = counts["published_draws"].max()
    lines = [
        f"{RUNS} · {draws} draws per point",
        f"filled: measured here · diamonds: published, {known} draws",
    ]
    figures.volume(folder / "volume.png", counts, lines)
    n = int(rounded["draws"].max())
    lines = [
        f"{RUNS} · 3 hidden layers of 256 · {n} draws",
        "filled: ordinary rounding · open: random rounding · "
        "triangles: none found, drawn at one in all inputs seen",
    ]
    figures.zero_shares(folder / "zeros.png", shares, lines)
    lines = [f"{RUNS} · 3 hidden layers of 256, batches of 256 · {n} draws"]
    figures.rounding(folder / "rounding.png", shares, rounded, lines)
    lines = ["MNIST, 784-2000-128-10, batches of 128, plain SGD, the same batches"]
    figures.surprise(folder / "surprise.png", surprise, lines)
    lines = ["one image of MNIST, one neuron of the first layer, float32 weights"]
    figures.plane(folder / "plane.png", plane, lines)
    starts = learning.groupby("network")["seed_number"].nunique()
    words = ", ".join(f"{name}: {count} starts" for name, count in starts.items())
    lines = [f"the same weights and batches for every s · {words}"]
    figures.learning(folder / "learning.png", learning, lines)
    if len(networks):
        lines = ["default initialisation, no weight updates · batches of 128"]
        figures.first_batches(folder / "networks.png", networks, lines)


def trials(paths: list[Path]) -> pd.DataFrame:
    """The trials of the learning rates, with the network each belongs to."""
    found = [
        pd.read_csv(path, sep="\t").assign(network=path.stem.removesuffix("_rate"))
        for path in paths
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    for name in ("draws", "rounding", "surprise", "learning", "rates"):
        add(f"--{name}", nargs="+", required=True, type=Path, help="tables of the jobs")
    add("--plane", required=True, type=Path, help="table of the job")
    add("--networks", nargs="*", default=[], type=Path, help="tables of the jobs")
    add("--folder", required=True, type=Path, help="where all of it goes")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
