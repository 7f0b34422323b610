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
from roundoff.models.synthmorph.transform import count_folded, warp_labels
from roundoff.training.registration.loop import Recipe
from roundoff.training.registration.maps import BOX, MM, Family, draw_poses
from roundoff.training.registration.pairs import Pairs
from roundoff.training.registration.shapes import draw_shapes
from roundoff.training.segmentation.classes import from_freesurfer
from roundoff.training.segmentation.evaluation import segment
from roundoff.training.segmentation.references import read_voxelmorph_scan

GRID = Grid(voxel_size=MM, shape=(88, 88, 88))
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


def load_network(path: Path) -> Registration:
    """The trained network with the integration steps of its training."""
    return load_registration(path, int_steps=Recipe().int_steps)


def mean_dice(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Mean Dice over the labels of `SMALL` voxels or more in either map; how many."""
    sizes = [np.bincount(m.ravel(), minlength=256) for m in (a, b)]
    labels = np.flatnonzero(np.maximum(*sizes)[1:] >= SMALL) + 1
    both = np.bincount(a[a == b].ravel(), minlength=256)
    dice = 2 * both[labels] / (sizes[0] + sizes[1])[labels]
    return float(dice.mean()) if len(dice) else float("nan"), len(labels)


def compare_heads(network: Registration, moving: Placed, fixed: Placed) -> Overlap:
    """Register two placed heads; their labels are warped by nearest neighbour."""
    with torch.inference_mode():
        pair = (torch.from_numpy(h.image) for h in (moving, fixed))
        warp = network.warp(*pair)
        moved = warp_labels(torch.from_numpy(moving.labels), warp).numpy()
        folded = 100 * count_folded(warp) / moved.size
    before, count = mean_dice(moving.labels, fixed.labels)
    after, _ = mean_dice(moved, fixed.labels)
    return Overlap(moving.name, fixed.name, count, before, after, folded)


def compare_shapes(network: Registration, count: int, seed: int) -> Iterator[Overlap]:
    """Pairs of random shapes; the seed must not be the training's."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        poses, points = draw_poses(draw_shapes(BOX, rng), 2, rng)
        family = Family("shapes", poses, points, int(poses.max()))
        pair = Pairs([family], seed=seed).draw(number)
        name = f"shapes{number}"
        yield compare_heads(
            network,
            Placed(f"{name}a", pair.moving.numpy(), pair.moving_labels),
            Placed(f"{name}b", pair.fixed.numpy(), pair.fixed_labels),
        )


def label_scans(paths: Sequence[Path], weights: Mapping[str, Path]) -> list[Placed]:
    """Scans in the box, labelled by the demo segmentation of FastSurferVINN.

    A `.npz` is VoxelMorph's test scan, which has labels of its own.
    """
    from roundoff.models.fastsurfer.pipeline import build

    options = {"class_table": "demo_aseg", "base_resolution": 2.0, "batch_size": 8}
    model = (
        build(weights, **options) if any(p.suffix != ".npz" for p in paths) else None
    )
    placed = []
    for path in paths:
        if path.suffix == ".npz":
            scan, labels = read_voxelmorph_scan(path)
        else:
            scan = nib.load(path)
            labels = segment(model, scan)
        placed.append(place(path.name.split(".")[0], scan, labels))
    return placed


def place(name: str, scan, labels) -> Placed:
    """A scan with labels (images of nibabel, FreeSurfer ids) in the network's box."""
    image = conform(scan, GRID)
    ids = np.asarray(resample_from_to(labels, image, order=0).dataobj).round()
    values = np.asarray(image.dataobj)
    offset = head_offset(values, BOX)
    classes = crop(from_freesurfer(ids), offset, BOX)
    brain = rescaled(crop(values, offset, BOX))
    return Placed(name, np.ascontiguousarray(brain), np.ascontiguousarray(classes))
