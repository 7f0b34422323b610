"""What the pooler study found: tables over seeds, and words."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from roundoff.poolers.sizes import POOLERS, published


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """The tables of the jobs, one below the other."""
    return pd.concat([pd.read_csv(p, sep="\t") for p in paths], ignore_index=True)


def accuracies(curves: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy of the last epoch, in percent, over the trainings of each point.

    Columns: dataset, pooler, trainings, epochs, mean, sd, lowest, highest, loss (of
    the last epoch), seconds (of one epoch), published (percent, at 25 epochs).
    """
    last = curves[curves["epoch"] == curves["epoch"].max()].copy()
    last["percent"] = 100 * last["accuracy"]
    table = (
        last.groupby(["dataset", "pooler"])
        .agg(
            trainings=("training", "nunique"),
            epochs=("epoch", "max"),
            mean=("percent", "mean"),
            sd=("percent", "std"),
            lowest=("percent", "min"),
            highest=("percent", "max"),
            loss=("loss", "mean"),
            seconds=("seconds", "mean"),
        )
        .reset_index()
    )
    known = published()
    known = known[known["pooler"].isin(["max", "tdgs_against_max"])].replace(
        {"pooler": {"tdgs_against_max": "tdgs"}}
    )
    known = known[["dataset", "pooler", "accuracy"]].rename(
        columns={"accuracy": "published"}
    )
    merged = table.merge(known, how="left", on=["dataset", "pooler"])
    return in_order(merged)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of `POOLERS`, data set by data set."""
    place = table["pooler"].map({name: i for i, name in enumerate(POOLERS)})
    return (
        table.assign(place=place)
        .sort_values(["dataset", "place"])
        .drop(columns="place")
    )


def summary(
    found: pd.DataFrame, stability: pd.DataFrame, fastsurfer: pd.DataFrame, images: str
) -> str:
    """The page that says in words what the tables hold."""
    lines = [
        "# Poolers",
        "",
        f"Small CNN (16, 32, 64; 128), Adam 1e-3, batches of 64; {images}, "
        f"{int(found['epochs'].max())} epochs, "
        f"{int(found['trainings'].max())} trainings per point. Published: 25 epochs of "
        "all images, one run each; differences below half a point are noise.",
        "",
        "## Test accuracy (%)",
        "",
        "| data set | pooler | mean | sd | published |",
        "|---|---|---|---|---|",
    ]
    for row in found.itertuples():
        known = "" if pd.isna(row.published) else f"{row.published:.2f}"
        sd = "" if pd.isna(row.sd) else f"{row.sd:.2f}"
        cells = (row.dataset, row.pooler, f"{row.mean:.2f}", sd, known)
        lines.append(f"| {' | '.join(cells)} |")
    wide = stability.pivot_table(
        index=["dataset", "pooler"], columns="quantity", values="value"
    ).reset_index()
    lines += [
        "",
        "## Significant bits under random rounding (of 24)",
        "",
        "Evaluation mode, one trained network each; the pooler's own, on one and the "
        "same input, averaged over the three places. *Flips*: windows whose first "
        "maximum is not at one place in all samples.",
        "",
        "| data set | pooler | pooler output | pooler gradient | logits | first "
        "weights' gradient | flips (%) | flips above zero (%) | tied (%) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in in_order(wide).to_dict("records"):
        numbers = [
            row["pooler_output"],
            row["pooler_gradient"],
            row["logits"],
            row["weight_gradient"],
        ]
        shares = [row["flips"], row["flips_above_zero"], row["tied"]]
        cells = [row["dataset"], row["pooler"]]
        cells += [f"{v:.1f}" for v in numbers] + [f"{100 * v:.2f}" for v in shares]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## FastSurfer with its pooling replaced, not retrained (an illustration)",
        "",
        "One slice; the places that unpooling writes to stay those of max pooling.",
        "",
        "| pooler | bits of the winning logit | labels not the same in all samples (%) "
        "| Dice with the unchanged network |",
        "|---|---|---|---|",
    ]
    for row in fastsurfer.itertuples():
        lines.append(
            f"| {row.pooler} | {row.bits:.1f} | {100 * row.labels_changed:.2f} "
            f"| {row.dice:.3f} |"
        )
    return "\n".join(lines) + "\n"
