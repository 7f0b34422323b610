"""The figures of one subject and model, from its maps and tables."""

import json
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from roundoff.figures import distributions, maps, regions
from roundoff.figures.style import Caption
from roundoff.instruments.reduction import computed_part
from roundoff.models.base import MapSpec, ModelSpec
from roundoff.models.labels import load_label_table
from roundoff.uncertainty.significant_bits import BitsSettings, identical_bound

INSTRUMENT_WORDS = {
    "native": "native random rounding",
    "verrou": "Verrou",
    "ieee": "no perturbation (IEEE control)",
}


def draw_subject(
    spec: ModelSpec,
    anatomy: Path,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> None:
    """Draw every figure of one subject.

    `inputs`, `outputs`: role to path, as `layout.uncertainty_files` and
    `layout.figure_files` name them.
    """
    summary = json.loads(Path(inputs["summary"]).read_text())
    caption = caption_of(spec, summary)
    scan = nib.load(anatomy)
    head = np.asarray(scan.dataobj)
    majority = _volume(inputs["majority"]) if spec.labels else None
    view = maps.View(focus=None if majority is None else majority > 0)
    for m in spec.maps:
        settings = BitsSettings(precision=summary["Precision"].get(m.name))
        bound = identical_bound("general", summary["Samples"], settings=settings)
        _draw_bits(m, head, scan.affine, inputs, outputs, caption, view, bound)
    if spec.labels:
        _draw_labels(spec, head, scan.affine, inputs, outputs, caption, view)


def caption_of(spec: ModelSpec, summary: Mapping) -> Caption:
    """Who, what, how and how sure, for every figure."""
    instrument = summary["Instrument"]
    words = INSTRUMENT_WORDS[instrument["name"]]
    if instrument["name"] != "ieee":
        words += f" ({instrument['mode']})"
    part = computed_part(spec.with_options(summary["ModelOptions"]))
    if part:
        words += f", {part}"
    return Caption(
        subject=summary["Subject"],
        model=spec.title,
        weights=spec.weights_kind,
        instrument=words,
        samples=summary["Samples"],
        confidence=summary["Confidence"],
    )


def _draw_bits(m: MapSpec, head, affine, inputs, outputs, caption, view, bound) -> None:
    what = f"the {m.title}"
    maps.bits_map(
        outputs[f"bits_{m.name}"],
        _volume(inputs[f"bits_{m.name}"]),
        head,
        affine,
        caption,
        state=_volume(inputs[f"state_{m.name}"]),
        what=what,
        bound=bound,
        view=view,
    )
    table = pd.read_csv(inputs[f"histogram_{m.name}"], sep="\t")
    path = outputs[f"hist_{m.name}"]
    distributions.bits_histogram(path, table, caption, what=what, bound=bound)


def _draw_labels(spec, head, affine, inputs, outputs, caption, view) -> None:
    table = load_label_table(spec.labels)
    maps.label_map(
        outputs["labels"],
        _volume(inputs["majority"]),
        head,
        affine,
        caption,
        names={row.index: row.name for row in table},
        colors={row.index: row.color for row in table},
        view=view,
    )
    entropy = _volume(inputs["entropy"])
    maps.entropy_map(outputs["entropy"], entropy, head, affine, caption, view=view)
    found = pd.read_csv(inputs["regions_table"], sep="\t")
    title = "Agreement of the samples, region by region"
    regions.min_dice(outputs["dice"], found, title, caption.lines())
    samples = pd.read_csv(inputs["volumes_table"], sep="\t")
    regions.volume_spread(outputs["volumes"], samples, found, caption)


def _volume(path: str) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)
