"""Volumes turned to anatomical axes and cut into three planes."""

from dataclasses import dataclass
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from roundoff.errors import RoundoffError

Convention = Literal["neurological", "radiological"]
MARGIN = 9.0  # mm of air around the head: room for the letters of the sides


@dataclass(frozen=True)
class Plane:
    """One cut direction: which RAS axes run right and up, and what the sides are."""

    name: str
    axis: int  # the axis cut through
    across: int
    up: int
    sides: tuple[str, str, str, str]  # left, right, bottom, top of the picture


PLANES = (
    Plane("axial", 2, 0, 1, ("L", "R", "P", "A")),
    Plane("coronal", 1, 0, 2, ("L", "R", "I", "S")),
    Plane("sagittal", 0, 1, 2, ("P", "A", "I", "S")),
)


@dataclass(frozen=True)
class Frame:
    """The anatomical frame of a picture, in voxels of the RAS-turned volumes.

    `low`, `high`: crop box (high exclusive). `cuts`: slice through each RAS axis.
    `zooms`: mm. `affine`: RAS voxel to world.
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    cuts: tuple[int, int, int]
    zooms: tuple[float, float, float]
    affine: NDArray[np.float64]
    convention: Convention

    def slice(self, volume: NDArray, plane: Plane) -> NDArray:
        """A cropped slice as an image (rows from bottom to top, columns to the right).

        `volume` must already be turned to RAS by `to_ras`.
        """
        box = [slice(a, b) for a, b in zip(self.low, self.high, strict=True)]
        box[plane.axis] = self.cuts[plane.axis]
        image = volume[tuple(box)]  # remaining axes ascend: (across, up)
        if plane.across == 0 and self.convention == "radiological":
            image = image[::-1]
        return np.swapaxes(image, 0, 1)

    def sides(self, plane: Plane) -> tuple[str, str, str, str]:
        """Letters of the left, right, bottom and top side of a picture."""
        left, right, bottom, top = plane.sides
        if plane.across == 0 and self.convention == "radiological":
            left, right = right, left
        return left, right, bottom, top

    def extent(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a cut in mm."""
        size = (np.array(self.high) - self.low) * self.zooms
        return float(size[plane.across]), float(size[plane.up])

    def place(self, plane: Plane, axis: int) -> float:
        """Where the cut through `axis` crosses a picture, as a fraction of its side."""
        span = self.high[axis] - self.low[axis]
        fraction = (self.cuts[axis] - self.low[axis] + 0.5) / span
        mirrored = axis == 0 and self.convention == "radiological"
        return 1 - fraction if mirrored else fraction

    def position(self, plane: Plane) -> str:
        """World coordinate of a cut, e.g. "z = 12 mm"."""
        world = (self.affine @ [*self.cuts, 1])[plane.axis]
        return f"{'xyz'[plane.axis]} = {round(world)} mm".replace("-", "\N{MINUS SIGN}")


def to_ras(volume: NDArray, affine: NDArray) -> NDArray:
    """Flip and permute the axes so that they run to the right, front and top.

    The orientation comes from `affine` (4, 4); oblique volumes take the nearest axes.
    """
    turn = nib.orientations.io_orientation(affine)
    return nib.orientations.apply_orientation(volume, turn)


def ras_affine(shape: tuple[int, ...], affine: NDArray) -> NDArray[np.float64]:
    """The affine of a volume of `shape` after `to_ras`."""
    turn = nib.orientations.io_orientation(affine)
    return affine @ nib.orientations.inv_ornt_aff(turn, shape[:3])


def frame(
    anatomy: NDArray,
    affine: NDArray,
    focus: NDArray | None = None,
    cuts: tuple[float, float, float] | None = None,
    convention: Convention = "neurological",
) -> Frame:
    """Choose the crop and the cuts of a picture.

    `anatomy`: scan (X, Y, Z) in its own orientation; the crop is its foreground.
    `focus`: bool (X, Y, Z); cuts go through the middle of its box, the sagittal one
    beside the midline, where the deep nuclei lie. `cuts`: world coordinates in mm
    instead.
    """
    if convention not in ("neurological", "radiological"):
        raise RoundoffError(
            f"convention: {convention!r}, known are neurological and radiological"
        )
    head = to_ras(foreground(anatomy), affine)
    turned = ras_affine(anatomy.shape, affine)
    zooms = nib.affines.voxel_sizes(turned)
    centre = head if focus is None or not focus.any() else to_ras(focus, affine)
    low, high = _box(head)
    pad = np.ceil(MARGIN / zooms).astype(int)
    low, high = np.maximum(low - pad, 0), np.minimum(high + pad, head.shape)
    voxel = _middle(centre, zooms) if cuts is None else _voxel(cuts, turned)
    voxel = np.clip(voxel, low, high - 1)
    return Frame(
        low=tuple(int(v) for v in low),
        high=tuple(int(v) for v in high),
        cuts=tuple(int(v) for v in voxel),
        zooms=tuple(float(z) for z in zooms),
        affine=turned,
        convention=convention,
    )


def busiest(volume: NDArray, affine: NDArray) -> tuple[float, float, float] | None:
    """World coordinates (mm) of the slices with the largest sums, one per RAS axis.

    None when the volume is zero everywhere.
    """
    turned = to_ras(volume, affine)
    if not (turned > 0).any():
        return None
    sums = [turned.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    voxel = [int(np.argmax(total)) for total in sums]
    x, y, z, _ = ras_affine(volume.shape, affine) @ [*voxel, 1]
    return float(x), float(y), float(z)


def foreground(anatomy: NDArray) -> NDArray[np.bool_]:
    """Voxels clearly brighter than air (everything, if the scan is constant)."""
    finite = np.where(np.isfinite(anatomy), anatomy, 0)
    bright = finite > 0.08 * np.percentile(finite, 99)
    return bright if bright.any() else np.ones(anatomy.shape, bool)


def check_grid(name: str, volume: NDArray, anatomy: NDArray) -> None:
    """Refuse a map that is not on the grid of the anatomy."""
    if volume.shape != anatomy.shape or anatomy.ndim != 3:
        raise RoundoffError(
            f"{name}: shape {volume.shape}, anatomy {anatomy.shape}; "
            "both must be 3-D volumes on one grid (the conformed scan of the model)"
        )


def _box(mask: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    where = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {a}))) for a in range(3)]
    return np.array([w[0] for w in where]), np.array([w[-1] + 1 for w in where])


def _middle(mask: NDArray[np.bool_], zooms: NDArray) -> NDArray[np.intp]:
    low, high = _box(mask)
    middle = (low + high) // 2
    middle[0] -= round(12 / zooms[0])  # 12 mm left of the midline: thalamus, ventricle
    return middle


def _voxel(cuts: tuple[float, float, float], affine: NDArray) -> NDArray[np.intp]:
    return np.rint((np.linalg.inv(affine) @ [*cuts, 1])[:3]).astype(int)
