"""Registration of a conformed brain with a template, as a `BrainModel`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from roundoff.errors import RoundoffError
from roundoff.models.base import Prediction, Progress
from roundoff.models.synthmorph.checkpoint import load_registration
from roundoff.models.synthmorph.network import Registration
from roundoff.models.synthmorph.prepare import (
    STUDY_OFFSET,
    Template,
    box_at,
    centred_offset,
    conformed_template,
    crop,
    head_offset,
    load_template,
    matched,
    rescaled,
)
from roundoff.models.synthmorph.transform import warp_image, warp_labels

SUBJECT = ("fixed", "moving")
SCALING = ("minmax", "matched")
BOXES = ("centred", "study", "head")


class BrainRegistration:
    """Deformable registration of a skull-stripped brain and a template.

    `subject` is the role of the subject. As "fixed" (default) the template is pulled
    onto the subject, so that all maps lie on the subject's anatomy and the template's
    labels, if it has any, become a segmentation of it. As "moving", the direction of
    the SynthMorph study, the maps lie on the template's anatomy, placed in the box.

    Maps: `moved`, the warped image (0-1), and `warp`, its displacement in mm along
    the three voxel axes. Both are NaN outside the box the network sees.
    """

    def __init__(
        self,
        network: Registration,
        template: Template,
        *,
        subject: str = "fixed",
        scaling: str = "minmax",
        box: str = "centred",
    ):
        self.network = network
        self.template = template
        self.subject = subject
        self.scaling = scaling
        self.box = box

    def modules(self) -> Mapping[str, torch.nn.Module]:
        """The one network."""
        return {"network": self.network}

    @torch.inference_mode()
    def predict(
        self, volume: np.ndarray, voxel_size: float, progress: Progress | None = None
    ) -> Prediction:
        """Register a conformed brain (256 voxels of 1 mm, LIA, air exactly 0)."""
        tell = progress or (lambda fraction, words: None)
        tell(0.0, "velocity field")
        offset = self._offset(volume)
        pair = self.prepare(volume, offset)
        moving, fixed = (torch.from_numpy(np.ascontiguousarray(i)) for i in pair)
        warp = self.network.warp(moving, fixed)
        tell(0.8, "warping")
        moved = warp_image(moving[None], warp)[0]
        labels = self._labels(warp)
        tell(1.0, "warping")
        maps = {"moved": moved, "warp": warp.movedim(0, -1) * voxel_size}
        return Prediction(
            maps={k: _place(v.numpy(), offset, volume.shape) for k, v in maps.items()},
            labels=None if labels is None else _place(labels, offset, volume.shape, 0),
        )

    def prepare(
        self, volume: np.ndarray, offset: tuple[int, int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Moving and fixed image of the box at `offset`, intensities 0-1."""
        template = self.template.image
        brain = crop(volume, offset, template.shape)
        if self.scaling == "minmax":
            brain = rescaled(brain)
        else:
            brain = matched(brain, template)
        return (template, brain) if self.subject == "fixed" else (brain, template)

    def _offset(self, volume: np.ndarray) -> tuple[int, int, int]:
        if self.box == "study":
            return STUDY_OFFSET
        if self.box == "head":
            return head_offset(volume, self.template.image.shape)
        return centred_offset(volume, self.template.image)

    def _labels(self, warp: torch.Tensor) -> np.ndarray | None:
        if self.template.labels is None or self.subject != "fixed":
            return None
        return warp_labels(torch.from_numpy(self.template.labels), warp).numpy()


def _place(
    values: np.ndarray,
    offset: tuple[int, int, int],
    shape: tuple[int, ...],
    fill=np.nan,
) -> np.ndarray:
    full = np.full((*shape, *values.shape[3:]), fill, values.dtype)
    full[box_at(offset, values.shape[:3])] = values
    return full


def build(
    weights: Mapping[str, Path],
    *,
    subject: str = "fixed",
    scaling: str = "minmax",
    box: str = "centred",
    int_steps: int | None = None,
    box_shape: Sequence[int] | None = None,
    voxel_size: float = 1.0,
) -> BrainRegistration:
    """Factory of the registry: `network` (.h5, ...) and `template` (.npz, NIfTI, MGZ).

    `box`: "centred" aligns the centres of both brains; "study" takes the fixed crop of
    Talairach-aligned heads. `scaling`: "minmax", or "matched" (to the template's 95th
    percentile). `int_steps` overrides the integration steps of the file.
    `box_shape` (voxels) and `voxel_size` (mm): the box of a network that is not
    trained at 160 x 192 x 224 voxels of 1 mm; goes with `box: head`, which places a
    head by its top and sides, with its skull or without.
    """
    for role in ("network", "template"):
        if role not in weights:
            raise RoundoffError(f"registration weights: the role {role!r} is missing")
    for name, value, known in (
        ("subject", subject, SUBJECT),
        ("scaling", scaling, SCALING),
        ("box", box, BOXES),
    ):
        if value not in known:
            raise RoundoffError(
                f"option {name} is {value!r}, expected {' or '.join(known)}"
            )
    if (box_shape is None) == (box == "head"):
        raise RoundoffError(
            f"option box is {box!r} and box_shape {box_shape!r}: box 'head' and a "
            "box_shape (three numbers of voxels) go together"
        )
    if box_shape is None:
        template = load_template(weights["template"], STUDY_OFFSET)
    else:
        sides = tuple(box_shape)
        template = conformed_template(weights["template"], sides, voxel_size)
    return BrainRegistration(
        load_registration(weights["network"], int_steps=int_steps),
        template,
        subject=subject,
        scaling=scaling,
        box=box,
    )
