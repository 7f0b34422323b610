"""summary.md: our numbers beside the published ones, and what they can show."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from roundoff.nan_sweep import published
from roundoff.nan_sweep.draw import _chosen, family, one_tolerance
from roundoff.nan_sweep.tables import Sweep, settings_in

REASONS = """\
Why ours differ from the published numbers:

* **Weights and size.** Published: official weights, 71 (FastSurfer) and 64 (FONDUE)
  filters, 1 mm. Here the models named above; demo weights have 14 and 12 filters and
  2 mm pixels. A window is skipped by its share over *all* channels, so other weights
  tie in other places, and coarser pixels leave less background between head and border.
* **Subjects.** Published: 15 CoRR subjects, skull-stripped by FreeSurfer, every slice.
  Here the embedded heads, stripped by a demonstration segmentation, every n-th slice.
  Air of a whole head is not constant: little ties there.
* **Rules.** Published ratios were often counted on tensors after a convolution had
  overwritten them, and FastSurfer's fill was truncated to integers, in effect zero.
  FONDUE ran in batches of two slices with a pooling that misplaced indices as soon as
  one of the two tied: several dB of the published aggressive loss may be that defect.
  FONDUE's 1x1 heads stayed ordinary convolutions and were not counted; ours are.
  Ours counts every convolution's own input, fills with the window's mean, and treats
  every slice by itself.
* **Quality.** Published PSNR and SSIM compare with an image that is not documented
  (probably the network's input, as `PSNR to the scan` here). Published Dice compares
  with a reference segmentation, ours with the unmodified network.
"""


def summary_text(study: Sweep) -> str:
    """The whole page."""
    parts = ["# NaN operations in whole networks", "", *_about(study), ""]
    for model, spec in study.specs.items():
        parts += [f"## {spec.title} ({spec.weights_kind})", ""]
        parts += [*_skipping(study, model), *_quality(study, model)]
        parts += [*_bits(study, model), *_time(study, model)]
    parts += ["## What the subjects can show", "", *_equivalence(study), ""]
    parts += ["## Differences from the published numbers", "", REASONS]
    return "\n".join(parts)


def _about(study: Sweep) -> list[str]:
    slices = study.slices.groupby(["model", "subject", "scan", "mode", "view"])
    count = int(slices["slice"].nunique().median())
    samples = int(study.bits["samples"].max())
    return [
        f"{len(study.names)} subjects ({', '.join(study.names)}), {count} slices of "
        f"each view; scans: {', '.join(study.scans)}. Published: Gonzalez-Pepe et al., "
        "arXiv 2601.17180. NaN in an output is cleaned before it is compared: "
        "background for logits, 0 for pixels of an image. Skipped shares are those "
        "of every convolution's own input. Significant bits: "
        f"{samples} samples under native random rounding, General estimator, by "
        "PyTorch's own convolutions (compiled kernels step aside there).",
    ]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table and an empty line."""
    header = list(header)
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _number(value: float | None, digits: int = 3) -> str:
    if value is None or pd.isna(value):
        return ""
    return f"{value:.{digits}f}" if np.isfinite(value) else "identical"


def _means(study: Sweep, model: str) -> Iterator[tuple[str, str, float, pd.DataFrame]]:
    subjects = _chosen(study.subjects, model)
    for scan in study.scans:
        for mode, threshold in settings_in(subjects):
            part = subjects[
                (subjects["scan"] == scan)
                & (subjects["mode"] == mode)
                & (subjects["threshold"] == threshold)
            ]
            yield scan, mode, threshold, part.mean(numeric_only=True)


def _skipping(study: Sweep, model: str) -> list[str]:
    kind, rows = family(study, model), []
    for scan, mode, threshold, mean in _means(study, model):
        known = published.Overall(None, None)
        if scan == "stripped":
            known = published.overall(kind, mode, threshold)
        rows.append(
            [scan, mode, f"{threshold:g}"]
            + [_number(mean[f"skip_{k}"]) for k in ("convolutions", "blocks", "macs")]
            + [_number(known.unweighted), _number(known.weighted)]
            + [_number(mean["nan_output"]), _number(mean["nan_output_brain"])]
        )
    header = ["scan", "mode", "T", "skipped, convolutions", "blocks", "work"]
    header += ["published, unweighted", "published, work", "NaN in output", "in brain"]
    return [
        f"Skipped shares, mean over slices and subjects; tolerance "
        f"{one_tolerance(_chosen(study.subjects, model))} (the other: "
        f"{_other_tolerance(study, model)}). Work: weighted by multiply-accumulates; "
        "published, work: recomputed from the published blocks.",
        "",
        *table(header, rows),
    ]


def _other_tolerance(study: Sweep, model: str) -> str:
    """How far the skipped shares move with the tolerance."""
    subjects = study.subjects[study.subjects["model"] == model]
    key = ["scan", "mode", "threshold", "subject"]
    wide = subjects.pivot_table("skip_macs", key, "epsilon")
    if wide.shape[1] < 2:
        return "none was run"
    spread = (wide.max(axis=1) - wide.min(axis=1)).max()
    others = [c for c in wide.columns if c != one_tolerance(subjects)]
    return f"{', '.join(others)}, moves the skipped work by at most {spread:.3f}"


def _quality(study: Sweep, model: str) -> list[str]:
    segments = study.specs[model].task == "segmentation"
    columns = {
        "dice": "mean Dice to unmodified",
        "dice_lowest": "lowest class",
        "labels_equal_brain": "equal labels in brain",
        "loss_change": "Dice loss, change",
        "entropy_loss_change": "cross-entropy, change",
    }
    if not segments:
        columns = {
            "psnr": "PSNR to unmodified",
            "psnr_brain": "in brain",
            "psnr_scan": "PSNR to the scan",
            "psnr_change": "change",
            "ssim": "SSIM to unmodified",
            "ssim_change": "SSIM to the scan, change",
        }
    rows = []
    for scan, mode, threshold, mean in _means(study, model):
        digits = {"psnr": 1, "psnr_brain": 1, "psnr_scan": 2, "psnr_change": 3}
        row = [scan, mode, f"{threshold:g}"]
        row += [_number(mean.get(c), digits.get(c, 5)) for c in columns]
        if not segments:
            row += _published_quality(scan, mode, threshold)
        rows.append(row)
    header = ["scan", "mode", "T", *columns.values()]
    header += [] if segments else ["published, PSNR change", "SSIM change"]
    note = (
        "Published: conservative equals the unmodified network to four digits of Dice "
        "at every T; aggressive changes the Dice loss by 0.0003 or less on average."
        if segments
        else "PSNR in dB over the slices that show brain."
    )
    return [note, "", *table(header, rows)]


def _published_quality(scan: str, mode: str, threshold: float) -> list[str]:
    key = (mode, threshold)
    if scan != "stripped" or key not in published.FONDUE_PSNR:
        return ["", ""]
    psnr = published.FONDUE_PSNR[key] - published.FONDUE_PSNR_DEFAULT
    ssim = published.FONDUE_SSIM[key] - published.FONDUE_SSIM_DEFAULT
    return [f"{psnr:.2f}", f"{ssim:.4f}"]


def _bits(study: Sweep, model: str) -> list[str]:
    rows = []
    for scan, mode, threshold, mean in _means(study, model):
        if scan != study.scans[0]:
            continue
        row = [mode, f"{threshold:g}"]
        for zone in ("brain", "background"):
            row += [
                _number(mean[f"bits_original_{zone}"], 2),
                _number(mean[f"bits_{zone}"], 2),
                _number(mean[f"defined_{zone}"], 2),
            ]
        rows.append(row)
    header = ["mode", "T"]
    for zone in ("brain", "background"):
        header += [f"{zone}: unmodified", "converted", "pixels with a number"]
    return [
        f"Significant bits of the output ({study.scans[0]} scans), both on the pixels "
        "that have a number in both.",
        "",
        *table(header, rows),
    ]


def _time(study: Sweep, model: str) -> list[str]:
    time = study.time[study.time["model"] == model]
    if time.empty:
        return []
    rows = []
    for row in time[time["clock"] == "wall"].itertuples():
        cpu = time[(time["clock"] == "cpu") & (time["network"] == row.network)]
        cpu = cpu[cpu["mode"] == row.mode]
        if row.mode:
            cpu = cpu[cpu["threshold"] == row.threshold]
        name = [row.mode, f"{row.threshold:g}"] if row.mode else [row.network, ""]
        gains = (row.speed_up, cpu["speed_up"].iloc[0], row.speed_up_dense)
        gains = [_number(gain, 2) for gain in gains]
        rows.append([*name, _number(row.skip_macs), _number(row.ms, 1), *gains])
    header = ["network", "T", "work skipped", "ms", "speed-up, wall"]
    header += ["processor time", "over folded, channels last"]
    first = time.iloc[0]
    return [
        f"Time of a whole slice (batch of one, {int(first['threads'])} thread, "
        f"{first['machine']}): median of paired repetitions, then over views and "
        f"subjects. Computed by: {first['path']}. Below 1 is slower.",
        "",
        *table(header, rows),
    ]


def _equivalence(study: Sweep) -> list[str]:
    tests = study.statistics
    if tests.empty:
        return ["No measure is known for every subject."]
    counts = tests["verdict"].value_counts()
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    n = len(study.names)
    lines = [
        "Every subject gives one difference per setting and measure (converted minus "
        "unmodified, slices averaged). Two one-sided t tests at 5 %; margins: "
        + ", ".join(f"{k} {v:g}" for k, v in study.margins.items())
        + f". Of {len(tests)} tests: {words}.",
        "",
        _what_n_can_show(n),
        "",
    ]
    first = tests[tests["scan"] == study.scans[0]]
    rows = []
    for model in study.specs:
        chosen = _chosen(first, model)
        for row in chosen.itertuples():
            needed = getattr(row, "needed", None)
            rows.append(
                [
                    model,
                    row.mode,
                    f"{row.threshold:g}",
                    row.measure,
                    f"{row.mean:+.4g}",
                    f"{row.low:+.3g} to {row.high:+.3g}" if n > 1 else "",
                    f"{row.margin:g}",
                    row.verdict,
                    "" if n < 2 else f"{int(needed)}" if pd.notna(needed) else ">10000",
                ]
            )
    header = ["model", "mode", "T", "measure", "mean difference", "90 % interval"]
    header += ["margin", "verdict", "subjects needed"]
    return [*lines, *table(header, rows)]


def _what_n_can_show(n: int) -> str:
    if n < 2:
        return "One subject shows nothing about others: add subjects."
    import scipy.stats

    factor = scipy.stats.t.ppf(0.95, n - 1) / np.sqrt(n)
    text = (
        f"N = {n}: the interval reaches {factor:.2g} standard deviations to either "
        "side of the mean, so equivalence is shown only where subjects hardly differ"
    )
    if n < 5:
        text += (
            "; the standard deviation itself is hardly known, and neither are the "
            "subjects that would be needed (last column, power 0.8 if the true "
            "difference is zero). Nothing is shown about heads, scanners or weights "
            "that are not among these"
        )
    return text + "."
