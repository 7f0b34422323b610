"""Bringing two heads to the box and intensities a registration network expects.

Preparation happens once, before the network, in ordinary numpy: no instrument
perturbs it, as in the study, which prepared its inputs once.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roundoff.errors import RoundoffError

BOX = (160, 192, 224)
"""Voxels of 1 mm in LIA order that VoxelMorph and SynthMorph work on."""
STUDY_OFFSET = (40, 20, 20)
"""First voxel of the box in a 256-cube of FreeSurfer's Talairach-aligned stream."""


@dataclass(frozen=True)
class Template:
    """The other head of a registration: image (BOX, 0-1) and its labels, if any."""

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


def crop(volume: np.ndarray, offset: tuple[int, int, int]) -> np.ndarray:
    """The box of a larger volume, from voxel `offset` on."""
    if volume.ndim != 3 or any(
        o < 0 or o + n > size
        for o, n, size in zip(offset, BOX, volume.shape, strict=False)
    ):
        raise RoundoffError(
            f"registration: a volume of shape {volume.shape} has no box {BOX} at "
            f"{offset}; conform it to 256 voxels of 1 mm"
        )
    return volume[box_at(offset)]


def box_at(offset: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Index of the box that starts at `offset`."""
    return tuple(slice(o, o + n) for o, n in zip(offset, BOX, strict=True))


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
