"""The sentences a report leads with."""

import numpy as np
import pandas as pd

from roundoff.uncertainty.confidence import percent, supported_probability


def dice_verdict(
    table: pd.DataFrame,
    samples: int,
    confidence: float = 0.95,
    threshold: float = 0.99,
) -> str:
    """Sentence on min Dice from `PairwiseDice.minimum` (any number of subjects).

    "Dice >= 0.99 in every region with p >= 0.741 (...)", or how many regions fall short
    and which is the lowest. p is that of N samples that all agree (`confidence.py`);
    the N(N-1)/2 pairs are not independent and do not raise it.
    """
    worst = table.groupby("region", sort=False)["min_dice"].min().dropna()
    if worst.empty:
        return "No label was found in any sample: there is no Dice to judge."
    pairs = samples * (samples - 1) // 2
    p = supported_probability(samples, confidence)
    count = "1 pair" if pairs == 1 else f"{pairs} pairs"
    basis = f"({count} of N = {samples} samples, {percent(confidence)} confidence)"
    if worst.min() >= threshold:
        return f"Dice >= {threshold:g} in every region with p >= {p:.3f} {basis}."
    low = worst[worst < threshold]
    return (
        f"Dice < {threshold:g} in {len(low)} of {len(worst)} regions {basis}; "
        f"the lowest is {low.min():.4f} in {low.idxmin()}."
    )


def bits_verdict(row: pd.Series, samples: int, confidence: float = 0.95) -> str:
    """Sentence on one row of `bits_table`: the bits that 95 % of the voxels keep."""
    if not np.isfinite(row["p5"]):
        return "No voxel of the mask carries a number of significant bits."
    p = supported_probability(samples, confidence)
    kept = np.floor(10 * row["p5"]) / 10  # "or more" must not round up
    text = (
        f"{row['mean']:.1f} significant bits on average "
        f"({row['mean'] * np.log10(2):.1f} decimal digits); "
        f"95 % of the voxels keep {kept:g} or more, with p >= {p:.3f} "
        f"(N = {samples} samples, {percent(confidence)} confidence)"
    )
    same, voxels = int(row["identical"]), int(row["identical"] + row["measured"])
    if same > 0:
        text += f"; {same:,} of {voxels:,} are identical in all samples"
    return text + "."


def control_verdict(bits_rows: pd.DataFrame, min_dice: pd.DataFrame | None) -> str:
    """Sentence on the IEEE control from its own tables: it must not vary at all."""
    varying = int(bits_rows["measured"].max())
    low = 1.0 if min_dice is None or min_dice.empty else min_dice["min_dice"].min()
    if varying == 0 and low == 1.0:
        return "The IEEE control is bit-identical over its samples."
    return (
        f"The IEEE control varies ({varying} voxels, lowest Dice {low:.6f}): "
        "threads or a non-deterministic kernel, not rounding; the run is invalid."
    )
