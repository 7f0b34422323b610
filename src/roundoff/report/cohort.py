"""All subjects and models together: two tables and two figures."""

from pathlib import Path

import pandas as pd

from roundoff.figures import distributions, regions, style
from roundoff.report.study import Study
from roundoff.report.subject import caption_of
from roundoff.uncertainty.summary import WHOLE, over_subjects


def join_tables(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(bits, regions) of all models and subjects, one below the other."""
    bits, found = [], []
    for spec, subject in study:
        files = study.files(spec, subject)
        bits.append(_read(files["bits_table"], spec.title, subject))
        if spec.labels:
            found.append(_read(files["regions_table"], spec.title, subject))
    none = pd.DataFrame(columns=["model", "subject", "label", "region", "min_dice"])
    return pd.concat(bits), pd.concat(found) if found else none


def caption_lines(study: Study) -> list[str]:
    """The heading of figures that show several subjects and models."""
    spec, subject = next(iter(study))
    caption = caption_of(spec, study.summary(spec, subject))
    kinds = "; ".join(f"{m.title}: {m.weights_kind}" for m in study.models)
    sure = caption.confidence.replace(">=", "≥")
    return [f"{caption.instrument} · {sure}", kinds]


def draw_bits_overview(path: Path, bits: pd.DataFrame, lines: list[str]) -> None:
    """Bits per model, output and subject: General estimator, over the head."""
    rows = bits[(bits["region"] == WHOLE) & (bits["estimator"] == "general")].copy()
    rows["model"] = rows["model"] + ": " + rows["map"]
    title = "Significant bits per model, output and subject"
    distributions.bits_overview(path, rows, title, lines)


def draw_dice_overview(path: Path, found: pd.DataFrame, lines: list[str]) -> None:
    """Min Dice per region over subjects, one series per model."""
    if found.empty:
        _say_no_labels(path, lines)
        return
    table = over_subjects(found, "min_dice", ["model", "region"])
    title = "Agreement of the samples over all subjects"
    regions.min_dice(path, table, title, lines, series="model")


def _say_no_labels(path: Path, lines: list[str]) -> None:
    with style.picture(path, 8.6, 1.6) as figure:
        style.heading(figure, "No labels to compare", lines)
        words = "None of these models gives a label map, so there is no Dice."
        figure.text(0.02, 0.12, words)


def _read(path: str, model: str, subject: str) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t")
    table.insert(0, "subject", subject)
    table.insert(0, "model", model)
    return table
