"""How well a segmentation agrees with a reference, structure by structure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from roundoff.images.conform import conform
from roundoff.models.base import BrainModel, Grid
from roundoff.training.segmentation.classes import from_freesurfer, load_classes

GRID = Grid(voxel_size=2.0, shape=(128, 128, 128))

LARGE = (
    "Cerebral-White-Matter",
    "Cerebral-Cortex",
    "Lateral-Ventricle",
    "Cerebellum-White-Matter",
    "Cerebellum-Cortex",
    "Thalamus",
    "Caudate",
    "Putamen",
    "Brain-Stem",
    "Hippocampus",
)
"""Structures whose mean Dice sums up a segmentation."""

# AAL outlines follow other rules than FreeSurfer's: only these compare, sides merged.
AAL = {
    "Hippocampus": ("Hippocampus",),
    "Amygdala": ("Amygdala",),
    "Caudate": ("Caudate",),
    "Putamen": ("Putamen",),
    "Pallidum": ("Pallidum",),
    "Thalamus": ("Thalamus",),
    "Cerebellum": ("Cerebelum", "Vermis"),
}


@dataclass(frozen=True)
class Agreement:
    """Dice of one structure (both sides together count as one if `name` has none)."""

    name: str
    dice: float
    voxels: int
    reference_voxels: int


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice overlap of two masks; NaN when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def demo_segmentation(weights: Mapping[str, Path]) -> BrainModel:
    """FastSurferVINN with demo weights, the file of each view."""
    from roundoff.models.fastsurfer.pipeline import build

    return build(weights, class_table="demo_aseg", base_resolution=2.0, batch_size=8)


def segment(model: BrainModel, scan: nib.spatialimages.SpatialImage) -> nib.Nifti1Image:
    """Conform a scan to 2 mm and segment it: FreeSurfer ids on the conformed grid."""
    image = conform(scan, GRID)
    prediction = model.predict(np.asarray(image.dataobj), GRID.voxel_size)
    return nib.Nifti1Image(prediction.labels.astype(np.int16), image.affine)


def compare_freesurfer(
    found: nib.Nifti1Image, reference: nib.spatialimages.SpatialImage
) -> list[Agreement]:
    """Per class, against a FreeSurfer segmentation in the same space."""
    ids = np.asarray(resample_from_to(reference, found, order=0).dataobj).round()
    truth = from_freesurfer(ids)
    ours = from_freesurfer(np.asarray(found.dataobj))
    return [
        Agreement(c.name, dice(a, b), int(a.sum()), int(b.sum()))
        for c in load_classes()[1:]
        for a, b in [(ours == c.index, truth == c.index)]
        if b.any()
    ]


def compare_aal(
    found: nib.Nifti1Image,
    reference: nib.spatialimages.SpatialImage,
    names: Mapping[int, str],
) -> list[Agreement]:
    """Per structure of `AAL`, both sides together; `names`: AAL value to name."""
    values = np.asarray(resample_from_to(reference, found, order=0).dataobj).round()
    ours = from_freesurfer(np.asarray(found.dataobj))
    rows = []
    for structure, prefixes in AAL.items():
        wanted = [v for v, name in names.items() if name.startswith(prefixes)]
        b = np.isin(values, wanted)
        classes = [c.index for c in load_classes() if c.structure.startswith(structure)]
        a = np.isin(ours, classes)
        rows.append(Agreement(structure, dice(a, b), int(a.sum()), int(b.sum())))
    return rows


def mean_of_large(rows: list[Agreement]) -> float:
    """Mean Dice over the large structures present, sides counted apart."""
    sides = ("Left-", "Right-")
    large = [
        r.dice
        for r in rows
        if r.name.removeprefix(sides[0]).removeprefix(sides[1]) in LARGE
    ]
    return float(np.mean(large)) if large else float("nan")
