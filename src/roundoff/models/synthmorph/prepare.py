"""Bringing two heads to the box and intensities a registration network expects.

Preparation happens once, before the network, in ordinary numpy: no instrument
perturbs it, as in the study, which prepared its inputs once.
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from roundoff.errors import RoundoffError

BOX = (160, 192, 224)
"""Voxels of 1 mm in LIA order that VoxelMorph and SynthMorph work on."""
STUDY_OFFSET = (40, 20, 20)
"""First voxel of the box in a 256-cube of FreeSurfer's Talairach-aligned stream."""
AIR, FEW, ABOVE = 0.1, 0.01, 0.04
"""`head_offset`: intensity of air over the maximum, share of bright voxels of a plane
that is not air, room above the head over the height of the box."""


@dataclass(frozen=True)
class Template:
    """The other head of a registration: image (the box, 0-1) and its labels, if any."""

    image: np.ndarray
    labels: np.ndarray | None = None


def load_template(path: str | Path, offset: tuple[int, int, int]) -> Template:
    """Read a template: VoxelMorph's `.npz` (vol, seg), NIfTI or MGZ.

    A volume larger than the box is cropped from `offset` on and divided by its range.
    Raises RoundoffError when the file has another shape or no image.
    """
    path = Path(path)
    if not path.is_file():
        raise RoundoffError(f"template: there is no file {path}; check the path")
    if path.suffix == ".npz":
        with np.load(path) as file:
            if "vol" not in file:
                raise RoundoffError(f"template: {path} has no array 'vol'")
            image = file["vol"].astype(np.float32)
            labels = file["seg"].astype(np.int32) if "seg" in file else None
    else:
        import nibabel as nib

        image, labels = np.asarray(nib.load(path).dataobj, np.float32), None
    if image.shape != BOX:
        image = crop(image, offset)
    return Template(rescaled(image), labels)


def conformed_template(
    path: str | Path, box: tuple[int, int, int], voxel_size: float
) -> Template:
    """A NIfTI or MGZ head, conformed like the subject, cropped to the box, 0-1.

    For networks on another grid than `BOX` at 1 mm.
    """
    import nibabel as nib

    from roundoff.images.conform import conform
    from roundoff.models.base import Grid

    path = Path(path)
    if not path.is_file():
        raise RoundoffError(f"template: there is no file {path}; check the path")
    side = 8 * ceil(256 / voxel_size / 8)
    grid = Grid(voxel_size=voxel_size, shape=(side,) * 3)
    try:
        image = np.asarray(conform(nib.load(path), grid).dataobj)
    except nib.filebasedimages.ImageFileError:
        raise RoundoffError(
            f"template: {path} is no image nibabel reads; give a NIfTI or MGZ file"
        ) from None
    return Template(rescaled(crop(image, head_offset(image, box), box)))


def crop(
    volume: np.ndarray,
    offset: tuple[int, int, int],
    box: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """The box (by default `BOX`) of a larger volume, from voxel `offset` on."""
    sides = BOX if box is None else box
    if volume.ndim != 3 or any(
        o < 0 or o + n > size
        for o, n, size in zip(offset, sides, volume.shape, strict=False)
    ):
        fix = "conform it to the model's grid (256 voxels of 1 mm for the full box)"
        raise RoundoffError(
            f"registration: a volume of shape {volume.shape} has no box {sides} at "
            f"{offset}; {fix}"
        )
    return volume[box_at(offset, sides)]


def box_at(
    offset: tuple[int, int, int], box: tuple[int, int, int] | None = None
) -> tuple[slice, slice, slice]:
    """Index of the box that starts at `offset`."""
    sides = BOX if box is None else box
    return tuple(slice(o, o + n) for o, n in zip(offset, sides, strict=True))


def head_offset(volume: np.ndarray, box: tuple[int, int, int]) -> tuple[int, int, int]:
    """Where the box starts that holds a head (LIA axes), with its skull or without.

    A little above the first plane from the top that is not air, and centred on the
    upper half of the box: neck and field of view below it play no part.
    """
    bright = volume > AIR * volume.max()
    planes = bright.mean((0, 2)) > FEW
    if not planes.any():
        raise RoundoffError("registration: the volume holds no head (nothing bright)")
    top = int(planes.argmax())
    upper = np.nonzero(bright[:, top : top + box[1] // 2])
    start = (
        upper[0].mean() - box[0] / 2,
        top - box[1] * ABOVE,
        upper[2].mean() - box[2] / 2,
    )
    room = np.subtract(volume.shape, box)
    return tuple(
        int(o) for o in np.clip(np.floor(np.add(start, 0.5)), 0, np.maximum(room, 0))
    )


def centred_offset(volume: np.ndarray, template: np.ndarray) -> tuple[int, int, int]:
    """Where the box starts so that both brains' centres coincide.

    Centres are means of the coordinates of voxels above 0 (skull-stripped heads).
    """
    if not volume.max() > 0:
        raise RoundoffError("registration: the volume holds no positive value")
    shift = np.round(_centre(volume) - _centre(template)).astype(int)
    room = np.subtract(volume.shape, BOX)
    return tuple(int(o) for o in np.clip(shift, 0, room))


def _centre(volume: np.ndarray) -> np.ndarray:
    return np.array([places.mean() for places in np.nonzero(volume > 0)])


def rescaled(volume: np.ndarray) -> np.ndarray:
    """Minimum to 0 and maximum to 1 (float32); a constant volume gives zeros."""
    volume = volume.astype(np.float32)
    low, high = volume.min(), volume.max()
    return (volume - low) / (high - low) if high > low else np.zeros_like(volume)


def matched(volume: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Intensities with the template's 95th percentile over voxels above 0, in 0-1."""
    volume = volume.astype(np.float32) / np.float32(volume.max())
    factor = _percentile(template) / _percentile(volume)
    return np.clip(volume * np.float32(factor), 0, 1)


def _percentile(volume: np.ndarray) -> float:
    return float(np.quantile(volume[volume > 0], 0.95))
