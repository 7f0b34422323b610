"""All figures of the sweep, from its tables."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from roundoff.figures import nan_maps, nan_quality, nan_skip
from roundoff.nan_sweep import files, published
from roundoff.nan_sweep.networks import axes_of
from roundoff.nan_sweep.settings import DTYPE
from roundoff.nan_sweep.tables import Sweep
from roundoff.uncertainty.confidence import statement


def draw_all(study: Sweep) -> None:
    """Write every figure that `files.figures` names."""
    _times(study)
    for model in study.specs:
        _skip(study, model)
        _quality(study, model)
        _bits(study, model)
        for subject in study.names:
            _maps(study, model, subject)


def one_tolerance(table: pd.DataFrame) -> str:
    """The tolerance that is drawn: the type's epsilon, or the first there is."""
    there = [e for e in table["epsilon"].unique() if e]
    return DTYPE if DTYPE in there else there[0]


def family(study: Sweep, model: str) -> str:
    """The published network a model is laid beside."""
    return {"segmentation": "fastsurfer", "denoising": "fondue"}[
        study.specs[model].task
    ]


def _chosen(table: pd.DataFrame, model: str) -> pd.DataFrame:
    table = table[table["model"] == model]
    return table[table["epsilon"].isin(["", one_tolerance(table)])]


def _who(study: Sweep, model: str) -> str:
    spec, n = study.specs[model], len(study.names)
    return f"{spec.title} ({spec.weights_kind}) · {n} subject" + "s" * (n > 1)


def _path(name: str) -> str:
    return f"{files.FOLDER}/{name}.png"


def published_blocks(study: Sweep, model: str) -> pd.DataFrame:
    """Published block shares of both modes, mean over views."""
    parts = []
    for mode in ("aggressive", "conservative"):
        table = published.block_shares(family(study, model), mode)
        means = table.groupby(["threshold", "block"], as_index=False)["share"].mean()
        parts.append(means.assign(mode=mode))
    return pd.concat(parts)


def _skip(study: Sweep, model: str) -> None:
    who = _who(study, model)
    blocks = _chosen(study.blocks, model)
    nan_skip.by_block(
        _path(f"skip_blocks_{model}"),
        blocks,
        published_blocks(study, model),
        "Windows skipped per block",
        [
            f"{who} · tolerance {one_tolerance(blocks)} · mean over convolutions, "
            "views, slices, subjects",
            "Crosses: arXiv 2601.17180 (official weights, 15 other subjects, 1 mm, "
            "stripped), mean over views",
        ],
    )
    slices = _chosen(study.slices, model)
    nan_skip.by_slice(
        _path(f"skip_slices_{model}"),
        slices[slices["scan"] == study.scans[0]],
        "Work skipped along the slices",
        [f"{who} · {study.scans[0]} scans · a line per subject; grey: brain in view"],
    )


def _quality(study: Sweep, model: str) -> None:
    table, margins = _chosen(study.subjects, model), study.margins
    segments = study.specs[model].task == "segmentation"
    if segments:
        table = table.assign(unlike=-table["dice_change"])
        panels = {
            "unlike": ("1 - mean Dice to the unmodified network", None, True),
            "loss_change": ("change of the Dice loss", margins["loss"], False),
        }
    else:
        panels = {
            "psnr": ("PSNR to the unmodified network (dB)", None, False),
            "psnr_change": ("change of PSNR to the scan (dB)", margins["psnr"], False),
            "ssim_change": ("change of SSIM to the scan", margins["ssim"], False),
        }
    nan_quality.quality(
        _path(f"quality_{model}"),
        table,
        panels,
        "Quality against work skipped",
        [f"{_who(study, model)} · a mark per subject; numbers: threshold T"],
    )


def _bits(study: Sweep, model: str) -> None:
    samples = int(study.bits["samples"].max())
    who = f"{_who(study, model)} · {study.scans[0]} scans · native random rounding"
    sure = statement(samples).replace(">=", "≥")
    subjects = _chosen(study.subjects, model)
    nan_quality.bits(
        _path(f"bits_{model}"),
        subjects[subjects["scan"] == study.scans[0]],
        "Significant bits, converted and not",
        [who, f"{sure} · same pixels in each pair; %: pixels that have a number"],
    )
    table = _chosen(study.block_bits, model)
    key = ["job", "mode", "threshold", "block", "order", "zone"]
    means = table.groupby(key, as_index=False, dropna=False)[["bits"]].mean()
    nan_quality.block_bits(
        _path(f"block_bits_{model}"),
        means,
        "Significant bits after every block",
        [who, f"{sure} · mean over channels and pixels that have a number"],
    )


def _times(study: Sweep) -> None:
    titles = {m: f"{s.title} ({s.weights_kind})" for m, s in study.specs.items()}
    time = study.time[study.time["clock"] == "wall"]
    time = time.assign(title=time["model"].map(titles))
    first = time.iloc[0]
    count = int(first["threads"])
    threads = f"{count} thread" + "s" * (count > 1)
    nan_quality.time_against_skip(
        _path("time"),
        time,
        "Measured time against work skipped",
        [
            f"{first['path']} · {threads} · {first['machine']}",
            "Whole slices, batch of one, wall time; median of paired repetitions; "
            "bars: views and subjects",
        ],
    )


def _maps(study: Sweep, model: str, subject: str) -> None:
    codes = study.specs[model].grid.orientation
    planes, maps, sides = {}, {}, {}
    for mode in ("aggressive", "conservative"):
        path = study.maps[model, subject, study.scans[0], mode]
        with np.load(path) as content:
            named = json.loads(str(content["settings"]))
            for view in json.loads(str(content["numbers"])):
                axes = axes_of(view)[1:]
                shown = _plane_name(view, codes)
                plane, sides[shown] = nan_maps.upright(
                    content[f"plane_{view}"], axes, codes
                )
                planes[shown] = plane
                for k, name in _drawn(named):
                    shade = nan_maps.upright(content[f"map_{view}"][k], axes, codes)
                    maps.setdefault(shown, {})[f"{mode[:6]}. {name:g}"] = shade[0]
    nan_maps.skipped_work(
        _path(f"maps_{model}_sub-{subject}"),
        planes,
        maps,
        sides,
        "Where work is skipped",
        [
            f"sub-{subject} · {study.specs[model].title} "
            f"({study.specs[model].weights_kind}) · {study.scans[0]} scan, slices "
            "with the most brain",
            "Columns: mode and threshold T; white line: where the scan is not zero",
        ],
    )


def _plane_name(view: str, codes: str) -> str:
    """A view's name, with the anatomical plane where the name does not say it."""
    planes = {"L": "sagittal", "R": "sagittal", "S": "axial", "I": "axial"}
    plane = planes.get(codes[axes_of(view)[0]], "coronal")
    return view if view == plane else f"{view}\n({plane})"


def _drawn(named: list[dict]) -> Iterator[tuple[int, float]]:
    wanted = one_tolerance(pd.DataFrame(named))
    for k, columns in enumerate(named):
        if columns["epsilon"] == wanted:
            yield k, columns["threshold"]
