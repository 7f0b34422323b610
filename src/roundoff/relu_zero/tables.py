"""From the tables of the jobs to those that are drawn and quoted."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import pandas as pd

from roundoff.relu_zero.intervals import binomial_interval


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """All rows of several tables (.tsv); empty where there is none."""
    tables = [pd.read_csv(path, sep="\t") for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def published_counts() -> pd.DataFrame:
    """Counts of the paper's tables: axis, value, precision, count, draws.

    Section 3 of arXiv 2106.12915, recounted from the tables its authors released.
    """
    source = files("roundoff.relu_zero").joinpath("published.tsv")
    with source.open() as stream:
        return pd.read_csv(stream, sep="\t")


def probabilities(draws: pd.DataFrame) -> pd.DataFrame:
    """Share of draws in the bifurcation zone, by point.

    `draws`: rows of `draws.draw_table`. Columns: axis, value, precision, draws, count,
    probability, low, high (Clopper-Pearson, 95 %), zeros, inputs, images,
    published_count, published_draws (empty where nothing was published).
    """
    groups = draws.groupby(["axis", "value", "precision"], sort=False)
    table = groups.agg(
        draws=("draw", "size"),
        count=("first_batch", "count"),
        zeros=("zeros", "sum"),
        inputs=("inputs", "sum"),
        images=("images", "sum"),
    ).reset_index()
    table = with_interval(table, "count", "draws")
    known = published_counts().rename(
        columns={"count": "published_count", "draws": "published_draws"}
    )
    table = table.merge(known, on=["axis", "value", "precision"], how="left")
    counted = ["published_count", "published_draws"]
    return table.astype(dict.fromkeys(counted, "Int64"))


def with_interval(table: pd.DataFrame, count: str, draws: str) -> pd.DataFrame:
    """Add probability, low and high (95 %) of a column of counts."""
    pairs = list(zip(table[count], table[draws], strict=True))
    limits = [binomial_interval(int(c), int(n)) for c, n in pairs]
    return table.assign(
        probability=[c / n for c, n in pairs],
        low=[low for low, _ in limits],
        high=[high for _, high in limits],
    )


def zero_shares(comparison: pd.DataFrame) -> pd.DataFrame:
    """Exact zeros per ReLU input, by precision and layer.

    `comparison`: rows of `under_rounding.comparison_table`. Columns: precision, layer,
    inputs, zeros, rounded_zeros, kept, share, rounded_share.
    """
    counted = ["inputs", "zeros", "rounded_zeros", "kept"]
    groups = comparison.groupby(["precision", "layer"], sort=False)
    table = groups[counted].sum().reset_index()
    return table.assign(
        share=table["zeros"] / table["inputs"],
        rounded_share=table["rounded_zeros"] / table["inputs"],
    )


def rounding_probabilities(comparison: pd.DataFrame) -> pd.DataFrame:
    """Bifurcation with ordinary and with random rounding, on the same images.

    Columns: precision, images (of each draw), rounding (`ieee`, `random`), draws,
    count, probability, low, high.
    """
    rows = []
    single = comparison.drop_duplicates(["precision", "draw"])
    for (precision, images), part in single.groupby(
        ["precision", "images"], sort=False
    ):
        for rounding, column in (("ieee", "first"), ("random", "rounded_first")):
            rows.append(
                {
                    "precision": precision,
                    "images": images,
                    "rounding": rounding,
                    "draws": len(part),
                    "count": int(part[column].count()),
                }
            )
    return with_interval(pd.DataFrame(rows), "count", "draws")
