"""The study in words and tables, as one Markdown page."""

from collections.abc import Sequence

import pandas as pd

from roundoff.relu_zero.sizes import AXES


def summary(
    counts: pd.DataFrame,
    shares: pd.DataFrame,
    rounded: pd.DataFrame,
    surprise: pd.DataFrame,
    learning: pd.DataFrame,
    networks: pd.DataFrame,
) -> str:
    """Markdown page of the tables of `tables.py` and of the experiments."""
    parts = ["# ReLU'(0) and finite precision", *volume_part(counts)]
    parts += zeros_part(shares, rounded)
    parts += surprise_part(surprise)
    parts += learning_part(learning)
    if len(networks):
        parts += networks_part(networks)
    return "\n\n".join(parts) + "\n"


def volume_part(counts: pd.DataFrame) -> list[str]:
    """Counts along the axes, the published ones beside them."""
    parts = [
        "## Share of initialisations in the bifurcation zone",
        "Count of draws whose gradients with s = 0 and s = 1 differ in some batch of "
        "MNIST, the share with its 95 % interval (Clopper-Pearson), and the published "
        "count. 3 hidden layers of 256 neurons and batches of 256 where not varied.",
    ]
    for axis in AXES:
        part = counts[counts["axis"] == axis]
        rows = [
            [
                f"{row['value']}",
                row["precision"],
                f"{row['count']} / {row['draws']}",
                f"{row['probability']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
                _published(row),
            ]
            for row in part.to_dict("records")
        ]
        parts.append(_table([axis, "precision", "count", "share", "published"], rows))
    return parts


def _published(row: dict) -> str:
    if pd.isna(row["published_count"]):
        return ""
    return f"{row['published_count']} / {row['published_draws']}"


def zeros_part(shares: pd.DataFrame, rounded: pd.DataFrame) -> list[str]:
    """Exact zeros with ordinary and random rounding."""
    zeros = [
        [
            row.precision,
            f"{row.layer}",
            f"{row.inputs:.3g}",
            f"{row.zeros} ({row.share:.1e})",
            f"{row.rounded_zeros} ({row.rounded_share:.1e})",
            f"{row.kept}",
        ]
        for row in shares.itertuples()
    ]
    chances = [
        [
            row["precision"],
            f"{row['images']}",
            row["rounding"],
            f"{row['count']} / {row['draws']}",
            f"{row['probability']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
        ]
        for row in rounded.to_dict("records")
    ]
    heads = ["precision", "layer", "ReLU inputs", "zeros", "random rounding", "in both"]
    return [
        "## Exact zeros, and random rounding",
        _table(heads, zeros),
        "The same draws, and the same images, with ordinary and random rounding:",
        _table(["precision", "images", "rounding", "count", "share"], chances),
    ]


def surprise_part(surprise: pd.DataFrame) -> list[str]:
    """When the copies part, and whether twins stay together."""
    rows = []
    groups = surprise.groupby(["precision", "seed_number"], sort=False)
    for (precision, number), part in groups:
        apart = part.loc[part["distance_s0_s1"] > 0, "iteration"]
        rows.append(
            [
                precision,
                f"{number}",
                f"{len(part)}",
                f"{apart.iloc[0]}" if len(apart) else "never",
                f"{part['distance_s0_s0'].max():g}",
                f"{part['distance_s0_s1'].iloc[-1]:.3g}",
                f"{part['distance_s0_reversed'].iloc[-1]:.3g}",
            ]
        )
    heads = ["precision", "start", "iterations", "s0 and s1 part", "s0 and s0, largest"]
    heads += ["s0 and s1, last", "s0 and reversed batch, last"]
    return ["## Copies that part", _table(heads, rows)]


def learning_part(learning: pd.DataFrame) -> list[str]:
    """Accuracy of the last epoch against s."""
    last = learning[learning["epoch"] == learning["epoch"].max()]
    groups = last.groupby(["network", "data", "variant", "slope"], sort=False)
    rows = [
        [
            network,
            data,
            variant,
            f"{slope:g}",
            f"{len(part)}",
            f"{part['accuracy'].mean():.4f}",
            f"{part['accuracy'].min():.4f} to {part['accuracy'].max():.4f}",
        ]
        for (network, data, variant, slope), part in groups
    ]
    heads = ["network", "data", "variant", "s", "runs", "test accuracy, mean", "range"]
    return ["## Learning", _table(heads, rows)]


def networks_part(networks: pd.DataFrame) -> list[str]:
    """First differing batches of the convolutional networks."""
    rows = [
        [
            network,
            precision,
            f"{part['first_batch'].count()} / {len(part)}",
            f"{part['first_batch'].median():g}",
            f"{part['zeros'].sum() / part['inputs'].sum():.1e}",
        ]
        for (network, precision), part in networks.groupby(
            ["network", "precision"], sort=False
        )
    ]
    heads = ["network", "precision", "differ", "median first batch", "zeros per input"]
    return ["## Convolutional networks, CIFAR-10", _table(heads, rows)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
