"""From the tables of the jobs to subjects, and from subjects to statistics.

The unit is the subject: slices of one head are not independent, so they are averaged
before anything is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from roundoff.models.base import ModelSpec
from roundoff.nan_sweep import files
from roundoff.nan_sweep.files import MODES
from roundoff.uncertainty.equivalence import equivalence
from roundoff.uncertainty.image_quality import psnr_of_error

SETTING = ["mode", "threshold", "epsilon"]
KEY = ["model", "scan", *SETTING]
ROW = [*KEY, "subject"]


@dataclass(frozen=True)
class Sweep:
    """Everything the figures and the summary read.

    `slices`, `layers`, `regions`, `bits`, `block_bits`, `times`: the rows of all jobs
    with model, subject and scan. `maps`: (model, subject, scan, mode) to the file.
    `subjects`: one row per setting and subject. `statistics`: one row per setting and
    measure. `blocks`: skipped share per block. `time`: medians over views and subjects.
    """

    specs: Mapping[str, ModelSpec]
    names: tuple[str, ...]
    scans: tuple[str, ...]
    margins: Mapping[str, float]
    slices: pd.DataFrame
    layers: pd.DataFrame
    regions: pd.DataFrame
    bits: pd.DataFrame
    block_bits: pd.DataFrame
    times: pd.DataFrame
    maps: Mapping[tuple[str, str, str, str], Path]
    subjects: pd.DataFrame
    statistics: pd.DataFrame
    blocks: pd.DataFrame
    time: pd.DataFrame


def collect(
    specs: Mapping[str, ModelSpec],
    subjects: Sequence[str],
    scans: Sequence[str],
    margins: Mapping[str, float],
) -> Sweep:
    """Read the tables of all jobs in the current folder and put them together."""
    read = {name: [] for name in (*files.MEASURES, "bits", "block_bits", "times")}
    maps = {}
    for model in specs:
        for subject in subjects:
            who = {"model": model, "subject": subject}
            read["times"].append(
                _read(files.time_file(model, subject), scan=scans[0], **who)
            )
            for mode in MODES:
                paths = files.bits_files(model, subject, mode)
                for name, role in (("bits", "output"), ("block_bits", "blocks")):
                    read[name].append(_read(paths[role], job=mode, **who))
                for scan in scans:
                    paths = files.skip_files(model, subject, scan, mode)
                    maps[model, subject, scan, mode] = Path(paths["maps"])
                    for name in files.MEASURES:
                        read[name].append(_read(paths[name], scan=scan, **who))
    tables = {name: pd.concat(parts) for name, parts in read.items()}
    tables["bits"]["scan"] = tables["block_bits"]["scan"] = scans[0]
    per_subject = subject_rows(tables["slices"], tables["regions"], tables["bits"])
    return Sweep(
        specs,
        tuple(subjects),
        tuple(scans),
        margins,
        maps=maps,
        subjects=per_subject,
        statistics=statistic_rows(per_subject, margins),
        blocks=block_rows(tables["layers"]),
        time=time_summary(tables["times"]),
        **tables,
    )


def _read(path: str, **columns: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path, sep="\t", dtype={"epsilon": str}, na_values="n/a", low_memory=False
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    for name in ("mode", "epsilon"):
        if name in table:
            table[name] = table[name].fillna("")
    return table.assign(**columns)


def subject_rows(
    slices: pd.DataFrame, regions: pd.DataFrame, bits: pd.DataFrame
) -> pd.DataFrame:
    """One row per setting and subject: skipped shares and quality, slices averaged.

    Columns whose name ends in `_change` are converted minus unmodified network.
    """
    rows = [
        {**dict(zip(ROW, key, strict=True)), **_quality(part)}
        for key, part in slices.groupby(ROW, sort=False)
    ]
    table = pd.DataFrame(rows)
    if len(regions):
        table = table.merge(_mean_dice(regions), "left", ROW)
    return table.merge(_bits(bits), "left", ROW)


def _quality(part: pd.DataFrame) -> dict[str, float]:
    means = ["skip_convolutions", "skip_blocks", "skip_macs", "nan_output"]
    row = {name: part[name].mean() for name in means}
    weights = part["brain"] / max(1, part["brain"].sum())
    row["nan_output_brain"] = (part["nan_output_brain"] * weights).sum()
    row["slices"] = len(part)
    if "loss" in part and part["loss"].notna().any():
        row["labels_equal"] = part["labels_equal"].mean()
        row["labels_equal_brain"] = (part["labels_equal_brain"] * weights).sum()
        row["loss_change"] = (part["loss"] - part["loss_original"]).mean()
        row["entropy_loss_change"] = (
            part["entropy_loss"] - part["entropy_loss_original"]
        ).mean()
    if "mse" in part and part["mse"].notna().any():
        row |= _denoising(part[part["brain"] > 0])
    return row


def _denoising(shown: pd.DataFrame) -> dict[str, float]:
    """PSNR of errors pooled over the slices that show brain; SSIM averaged."""
    if shown.empty:
        return {}
    pooled = {
        name: psnr_of_error(shown[f"mse{name}"].mean())
        for name in ("", "_brain", "_scan", "_scan_original")
    }
    return {
        "psnr": pooled[""],
        "psnr_brain": pooled["_brain"],
        "psnr_scan": pooled["_scan"],
        "psnr_scan_original": pooled["_scan_original"],
        "psnr_change": _change(pooled["_scan"], pooled["_scan_original"]),
        "ssim": shown["ssim"].mean(),
        "ssim_scan": shown["ssim_scan"].mean(),
        "ssim_scan_original": shown["ssim_scan_original"].mean(),
        "ssim_change": (shown["ssim_scan"] - shown["ssim_scan_original"]).mean(),
    }


def _change(ours: float, original: float) -> float:
    return 0.0 if ours == original else ours - original  # both may be infinite


def _mean_dice(regions: pd.DataFrame) -> pd.DataFrame:
    """Mean over classes, then over views: every view has labels of its own."""
    views = regions.groupby([*ROW, "view"], sort=False)["dice"].agg(["mean", "min"])
    table = views.groupby(ROW, sort=False).agg({"mean": "mean", "min": "min"})
    table = table.rename(columns={"mean": "dice", "min": "dice_lowest"}).reset_index()
    return table.assign(dice_change=table["dice"] - 1)


def _bits(bits: pd.DataFrame) -> pd.DataFrame:
    """Bits in the brain and the background, mean over views, pixels defined in both."""
    converted = bits[bits["mode"] != "original"]
    wide = []
    for zone, part in converted.groupby("zone", sort=False):
        table = part.groupby(ROW, sort=False).agg(
            bits=("bits_paired", "mean"),
            bits_original=("bits_original", "mean"),
            defined=("defined", "mean"),
        )
        table["bits_change"] = table["bits"] - table["bits_original"]
        wide.append(table.add_suffix(f"_{zone}"))
    return pd.concat(wide, axis=1).reset_index()


MEASURES = {  # margin name: column of `subjects`
    "dice": "dice_change",
    "loss": "loss_change",
    "psnr": "psnr_change",
    "ssim": "ssim_change",
    "bits": "bits_change_brain",
}


def statistic_rows(
    subjects: pd.DataFrame, margins: Mapping[str, float]
) -> pd.DataFrame:
    """Paired difference to the unmodified network over subjects, and TOST.

    `verdict`: "equivalent" (shown), "different" (the interval lies outside of the
    margin), or "not shown" (too few subjects, or too large a spread).
    """
    rows = []
    for key, part in subjects.groupby(KEY, sort=False):
        for measure, column in MEASURES.items():
            values = part[column].dropna() if column in part else pd.Series(dtype=float)
            if len(values) < len(part) or not np.isfinite(values).all():
                continue
            row = {**dict(zip(KEY, key, strict=True)), "measure": measure}
            rows.append(row | _test(values.to_numpy(), margins[measure]))
    return pd.DataFrame(rows)


def _test(values: np.ndarray, margin: float) -> dict[str, object]:
    if len(values) < 2:
        return {"n": len(values), "mean": values.mean(), "margin": margin} | {
            "verdict": "one subject: nothing can be shown"
        }
    test = equivalence(values, margin)
    student = scipy.stats.ttest_1samp(values, 0).pvalue if test.sd else np.nan
    outside = test.low > margin or test.high < -margin
    verdict = "equivalent" if test.shown else "different" if outside else "not shown"
    return {**vars(test), "p_difference": student, "verdict": verdict}


def block_rows(layers: pd.DataFrame) -> pd.DataFrame:
    """Skipped share per block: mean over its convolutions, views and subjects.

    Columns: key, block, order, share (unweighted), mac_share, work (share of the
    network's multiply-accumulates in this block).
    """
    layers = layers.assign(share=layers["skipped"] / layers["total"])
    per_view = [*ROW, "view", "block"]
    blocks = layers.groupby(per_view, sort=False).agg(
        share=("share", "mean"),
        order=("order", "min"),
        skipped_macs=("skipped_macs", "sum"),
        total_macs=("total_macs", "sum"),
    )
    total = blocks.groupby([*ROW, "view"], sort=False)["total_macs"].transform("sum")
    blocks = blocks.assign(
        work=blocks["total_macs"] / total,
        mac_share=blocks["skipped_macs"] / blocks["total_macs"],
    )
    kept = ["share", "mac_share", "work", "order"]
    means = blocks.groupby([*KEY, "block"], sort=False)[kept].mean()
    return means.reset_index().sort_values([*KEY, "order"], kind="stable")


def time_summary(times: pd.DataFrame) -> pd.DataFrame:
    """Median over views and subjects; `subjects` and `rows` say of how many."""
    key = ["model", "scan", "network", *SETTING, "clock", "threads", "path", "machine"]
    table = times.groupby(key, sort=False, dropna=False).agg(
        ms=("ms", "median"),
        speed_up=("speed_up", "median"),
        speed_up_dense=("speed_up_dense", "median"),
        slowest=("speed_up", "min"),
        quickest=("speed_up", "max"),
        skip_macs=("skip_macs", "mean"),
        subjects=("subject", "nunique"),
        rows=("ms", "size"),
    )
    return table.reset_index()


def setting_name(mode: str, threshold: float) -> str:
    """A setting in words, for figures and tables."""
    return f"{mode}, T = {threshold:g}"


def settings_in(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Modes and thresholds of a table, in order."""
    pairs = table[["mode", "threshold"]].drop_duplicates()
    pairs = pairs[pairs["mode"].isin(MODES)]
    for mode in MODES:
        for threshold in sorted(pairs.loc[pairs["mode"] == mode, "threshold"])[::-1]:
            yield mode, threshold
