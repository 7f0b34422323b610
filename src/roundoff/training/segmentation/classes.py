"""The classes of the demo segmentation, from FreeSurfer ids, and their left/right."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

TABLE = "demo_aseg.tsv"

# wmparc ids that are not classes themselves: inferior horns and choroid plexus are
# ventricle; callosum, hypointensities, vessels and unsegmented WM are white matter.
_MERGED = {5: 4, 31: 4, 44: 43, 63: 43, 72: 24, 85: 0, 77: 2, 80: 0}
_MERGED |= {30: 2, 62: 41, 5001: 2, 5002: 41}
_TISSUES = {
    "white matter": ("Cerebral-White-Matter",),
    "cortex": ("Cerebral-Cortex",),
    "fluid": ("Lateral-Ventricle", "3rd-Ventricle", "4th-Ventricle", "CSF"),
    "deep grey matter": (
        *("Thalamus", "Caudate", "Putamen", "Pallidum", "Accumbens-area"),
        *("Hippocampus", "Amygdala", "VentralDC"),
    ),
    "cerebellum": ("Cerebellum-White-Matter", "Cerebellum-Cortex"),
    "brain stem": ("Brain-Stem",),
}
# Of the background and the tissues, 0-255.
TISSUE_COLOURS = [
    *[(0, 0, 0), (245, 245, 245), (205, 62, 78), (120, 18, 134)],
    *[(236, 176, 31), (230, 148, 34), (119, 159, 176)],
]
CALLOSUM = (251, 252, 253, 254, 255)


@dataclass(frozen=True)
class Class:
    """One row of the label table: network class, FreeSurfer id, name, colour."""

    index: int
    id: int
    name: str
    colour: tuple[int, int, int]
    sagittal_index: int

    @property
    def structure(self) -> str:
        """The name without its side."""
        return self.name.removeprefix("Left-").removeprefix("Right-")


@cache
def load_classes() -> tuple[Class, ...]:
    """The demo classes in network order, background first."""
    text = files("roundoff.models.labels").joinpath(TABLE).read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return tuple(
        Class(int(i), int(k), name, (int(r), int(g), int(b)), int(s))
        for i, k, name, r, g, b, s in rows
    )


def freesurfer_ids() -> list[int]:
    """FreeSurfer id of each class."""
    return [c.id for c in load_classes()]


def sagittal_expansion() -> list[int]:
    """For each class, the class of the sagittal network (which knows no sides)."""
    return [c.sagittal_index for c in load_classes()]


def tissues() -> list[int]:
    """For each class, its tissue: a task small enough for a few hundred steps."""
    names = [("Background",), *_TISSUES.values()]
    of = {name: index for index, group in enumerate(names) for name in group}
    return [of[c.structure] for c in load_classes()]


@cache
def mirror_table() -> np.ndarray:
    """For each class, the class of the other side (itself on the midline), uint8."""
    classes = load_classes()
    by_name = {c.name: c.index for c in classes}
    swap = {"Left-": "Right-", "Right-": "Left-"}
    table = np.arange(len(classes), dtype=np.uint8)
    for c in classes:
        for side, other in swap.items():
            if c.name.startswith(side):
                table[c.index] = by_name[other + c.structure]
    return table


def from_freesurfer(ids: np.ndarray, left: np.ndarray | None = None) -> np.ndarray:
    """FreeSurfer aseg, aparc+aseg or wmparc ids to class indices (uint8).

    `left` (bool, same shape) gives callosum voxels their side; without it they go
    to the left white matter. Ids that no class covers become background.
    """
    ids = np.asarray(ids).astype(np.int32)
    left = np.ones(ids.shape, bool) if left is None else left
    merged = _merge_cortex(ids)
    for old, new in _MERGED.items():
        merged[ids == old] = new
    callosum = np.isin(ids, CALLOSUM)
    merged[callosum] = np.where(left[callosum], 2, 41)
    out = np.zeros(ids.shape, np.uint8)
    for c in load_classes():
        out[merged == c.id] = c.index
    return out


def _merge_cortex(ids: np.ndarray) -> np.ndarray:
    merged = ids.copy()
    # Thousands of aparc (1, 2: cortex) and of wmparc (3, 4: white matter).
    for thousand, target in ((1, 3), (2, 42), (3, 2), (4, 41)):
        merged[ids // 1000 == thousand] = target
    return merged
