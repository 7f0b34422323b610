"""What the study of classifiers found, in words."""

from importlib.resources import files

import pandas as pd

from roundoff.classifiers.jobs import COMPARED
from roundoff.classifiers.rules import RULES

PUBLISHED_TIES = ("eps1e-7-zero", "eps1e-7")  # by what fills a NaN


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
        "Skipped: share of the windows of convolutions 2, 3 and 4.",
        "",
        "| T | filled by | here | sd | F1 | published | skipped here "
        "| skipped, published | multiply-accumulates skipped |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    single = mnist[mnist["precision"] == "float32"]
    known = published().set_index("threshold")
    for rule in PUBLISHED_TIES:
        for row in single[single["rule"] == rule].itertuples():
            if row.threshold == "default" and rule != PUBLISHED_TIES[0]:
                continue
            lines.append(_threshold_row(row, known.loc[row.threshold], skipped))
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


def _threshold_row(row, there: pd.Series, skipped: pd.DataFrame) -> str:
    fill, theirs = "", ""
    if row.threshold != "default":
        fill = RULES[row.rule].fill
        theirs = ", ".join(f"{there[c]:.3f}" for c in ("conv2", "conv3", "conv4"))
    cells = [row.threshold, fill, f"{row.accuracy:.2f}", f"{row.sd:.2f}"]
    cells += [f"{row.f1:.4f}", f"{there['accuracy']:.2f}", _shares(skipped, row)]
    return f"| {' | '.join([*cells, theirs, f'{100 * row.skipped_macs:.1f} %'])} |"


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
