"""What the study of classifiers found, in words."""

from importlib.resources import files

import pandas as pd

from roundoff.classifiers.jobs import COMPARED
from roundoff.classifiers.rules import RULES


def published() -> pd.DataFrame:
    """Published MNIST results by threshold; accuracies in percent."""
    path = str(files("roundoff.classifiers") / "published.tsv")
    return pd.read_csv(path, sep="\t", comment="#", dtype={"threshold": str})


def summary(scores: pd.DataFrame, skipped: pd.DataFrame, epochs: int) -> str:
    """The page of results/classifiers."""
    mnist = scores[scores["network"] == "mnist"]
    images = int(mnist["images"].iloc[0])
    lines = [
        "# Classifiers with aggressive NaN pooling",
        "",
        f"MNIST network of the NaN study, trained here for {epochs} epochs; "
        f"{images} test images in 5 folds. Published: 5 folds of 2000. Ours are clean "
        "rules per sample (docs/nan_operations.md); the published code fills over the "
        "whole batch and pools void windows to minus infinity.",
        "",
        "## Accuracy (%) by threshold, published tolerance 1e-7, float32",
        "",
        "| T | here | sd | F1 | published | skipped here (conv 2, 3, 4) "
        "| skipped, published | multiply-accumulates skipped |",
        "|---|---|---|---|---|---|---|---|",
    ]
    part = mnist[(mnist["precision"] == "float32") & (mnist["rule"] == "eps1e-7")]
    known = published().set_index("threshold")
    for row in part.itertuples():
        shares = _shares(skipped, row)
        there = known.loc[row.threshold] if row.threshold in known.index else None
        theirs = "" if there is None else f"{there['accuracy']:.2f}"
        theirs_skip = ""
        if there is not None and row.threshold != "default":
            theirs_skip = ", ".join(
                f"{there[c]:.3f}" for c in ("conv2", "conv3", "conv4")
            )
        lines.append(
            f"| {row.threshold} | {row.accuracy:.2f} | {row.sd:.2f} | {row.f1:.4f} "
            f"| {theirs} | {shares} | {theirs_skip} | {100 * row.skipped_macs:.1f} % |"
        )
    lines += ["", "## Accuracy (%) by tolerance (float32)", ""]
    lines += _grid(mnist[mnist["precision"] == "float32"], "rule")
    lines += [
        "",
        "## Accuracy (%) in reduced precision",
        "",
        "The published rule calls a window tied when two of its values agree to the "
        "tolerance. The rule for constant windows, with the epsilon of the type, asks "
        "all of them to. Published, in reduced precision: 11 to 17 %.",
        "",
    ]
    rules = mnist[mnist["rule"].isin(COMPARED)].copy()
    rules["kind"] = rules["precision"] + ", " + rules["rule"].map(_title)
    lines += _grid(rules, "kind")
    xception = scores[scores["network"] == "xception"]
    if len(xception):
        lines += ["", "## Xception, the user's weights and pictures", ""]
        lines += _grid(xception, "rule")
    return "\n".join(lines) + "\n"


def _title(rule: str) -> str:
    return RULES[rule].title


def _shares(skipped: pd.DataFrame, row) -> str:
    same = (skipped["network"] == row.network) & (skipped["rule"] == row.rule)
    same &= skipped["precision"] == row.precision
    part = skipped[same & (skipped["threshold"] == row.threshold)]
    part = part.set_index("layer")["share"]
    return ", ".join(f"{part[c]:.3f}" for c in ("conv2", "conv3", "conv4") if c in part)


def _grid(table: pd.DataFrame, rows: str) -> list[str]:
    wide = table.pivot_table(
        index=rows, columns="threshold", values="accuracy", sort=False
    )
    names = [_title(n) if n in RULES else n for n in wide.index]
    lines = [
        f"| | {' | '.join('T ' + c if c != 'default' else c for c in wide)} |",
        "|---" * (len(wide.columns) + 1) + "|",
    ]
    for name, values in zip(names, wide.to_numpy(), strict=True):
        lines.append(f"| {name} | {' | '.join(f'{v:.2f}' for v in values)} |")
    return lines
