"""What a registration is worth on pairs it never saw: overlap and folding."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.processing import resample_from_to

from roundoff.images.conform import conform
from roundoff.models.base import Grid
from roundoff.models.synthmorph.checkpoint import load_registration
from roundoff.models.synthmorph.network import Registration
from roundoff.models.synthmorph.prepare import crop, head_offset, rescaled
from roundoff.models.synthmorph.transform import (
    count_folded,
    warp_image,
    warp_labels,
)
from roundoff.training.registration.pairs import Pair, Pairs
from roundoff.training.registration.sizes import Size
from roundoff.training.segmentation.classes import from_freesurfer
from roundoff.training.segmentation.evaluation import demo_segmentation, segment
from roundoff.training.segmentation.references import read_voxelmorph_scan

SMALL = 20  # voxels: structures below it in both images are not scored


@dataclass(frozen=True)
class Placed:
    """A head in the network's box: image (0-1) and class indices, same shape."""

    name: str
    image: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """Mean Dice over structures of one pair, before and after; folded voxels in %."""

    moving: str
    fixed: str
    structures: int
    before: float
    after: float
    folded_percent: float

    def cells(self) -> list[str]:
        """The row as text."""
        return [f"{v:.3f}" if isinstance(v, float) else str(v) for v in astuple(self)]


HEADER = tuple(f.name for f in fields(Overlap))


def load_network(path: Path, size: Size) -> Registration:
    """The trained network with the integration steps of its training."""
    return load_registration(path, int_steps=size.recipe.int_steps)


def mean_dice(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Mean Dice over the labels of `SMALL` voxels or more in either map; how many."""
    sizes = [np.bincount(m.ravel(), minlength=256) for m in (a, b)]
    labels = np.flatnonzero(np.maximum(*sizes)[1:] >= SMALL) + 1
    both = np.bincount(a[a == b].ravel(), minlength=256)
    dice = 2 * both[labels] / (sizes[0] + sizes[1])[labels]
    return float(dice.mean()) if len(dice) else float("nan"), len(labels)


@dataclass(frozen=True)
class Registered:
    """A pair of heads, what became of the moving one, and the overlap."""

    moving: Placed
    fixed: Placed
    moved: Placed
    overlap: Overlap


def register(network: Registration, moving: Placed, fixed: Placed) -> Registered:
    """Register two placed heads; their labels are warped by nearest neighbour."""
    with torch.inference_mode():
        images = [torch.from_numpy(h.image) for h in (moving, fixed)]
        warp = network.warp(*images)
        image = warp_image(images[0][None], warp)[0].numpy()
        labels = warp_labels(torch.from_numpy(moving.labels), warp).numpy()
        folded = 100 * count_folded(warp) / labels.size
    before, count = mean_dice(moving.labels, fixed.labels)
    after, _ = mean_dice(labels, fixed.labels)
    overlap = Overlap(moving.name, fixed.name, count, before, after, folded)
    return Registered(moving, fixed, Placed("moved", image, labels), overlap)


def synthetic_pairs(pairs: Pairs, count: int) -> Iterator[tuple[Placed, Placed]]:
    """Random pairs; the seed of `pairs` must not be the training's."""
    for number in range(count):
        yield placed_pair(pairs.draw(number), f"synthetic{number}")


def placed_pair(pair: Pair, name: str) -> tuple[Placed, Placed]:
    """A training pair as two heads."""
    one, two = (
        Placed(name + letter, image.numpy(), labels)
        for letter, image, labels in zip("ab", pair.images, pair.labels, strict=True)
    )
    return one, two


def label_scans(
    paths: Sequence[Path], weights: Mapping[str, Path], size: Size
) -> list[Placed]:
    """Scans in the box, labelled by the demo segmentation of FastSurferVINN.

    A `.npz` is VoxelMorph's test scan, which has labels of its own.
    """
    unlabelled = any(p.suffix != ".npz" for p in paths)
    model = demo_segmentation(weights) if unlabelled else None
    placed = []
    for path in paths:
        if path.suffix == ".npz":
            scan, labels = read_voxelmorph_scan(path)
        else:
            scan = nib.load(path)
            labels = segment(model, scan)
        placed.append(place(path.name.split(".")[0], scan, labels, size))
    return placed


def place(name: str, scan, labels, size: Size) -> Placed:
    """A scan with labels (images of nibabel, FreeSurfer ids) in the network's box."""
    side = 8 * -(-round(256 / size.voxel_size) // 8)
    image = conform(scan, Grid(voxel_size=size.voxel_size, shape=(side,) * 3))
    ids = np.asarray(resample_from_to(labels, image, order=0).dataobj).round()
    values = np.asarray(image.dataobj)
    offset = head_offset(values, size.box)
    classes = crop(from_freesurfer(ids), offset, size.box)
    brain = rescaled(crop(values, offset, size.box))
    return Placed(name, np.ascontiguousarray(brain), np.ascontiguousarray(classes))
