"""Label maps to train on: labelled heads in the box of a network, and shapes."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from roundoff.errors import RoundoffError
from roundoff.images.conform import conform
from roundoff.models.base import Grid
from roundoff.models.synthmorph.prepare import box_at, head_offset
from roundoff.training.registration.pairs import Source
from roundoff.training.registration.sizes import Size
from roundoff.training.segmentation.classes import load_classes
from roundoff.training.segmentation.generator import Head


def shapes_source(size: Size) -> Source:
    """Random shapes of a size: a new map in every pair, no data needed."""
    return Source(size.shapes, shape=size.box, knots=size.knots)


def head_source(head: Head, size: Size) -> Source:
    """One labelled head of 1 mm (`train_demo.py head`), structures and head tissues."""
    step = round(size.voxel_size)
    every = (slice(step // 2, None, step),) * 3
    place = box_at(head_offset(head.image[every], size.box), size.box)
    tissues = np.ascontiguousarray(head.tissues[every][place])
    return Source(len(load_classes()) - 1, (tissues,), typical_means(head))


def typical_means(head: Head) -> np.ndarray:
    """Mean intensity (0-255) of each tissue in the head's own image."""
    tissues = head.tissues.ravel()
    counts = np.bincount(tissues)
    sums = np.bincount(tissues, head.image.ravel())
    return sums / np.maximum(counts, 1)


def label_map_source(paths: list[Path], labels: list[int], size: Size) -> Source:
    """Segmentations (NIfTI or MGZ); `labels` (at most 255) become 1, 2, ... in order.

    They are brought to the size's voxels by nearest neighbour and cropped to its box
    around their middle. Raises RoundoffError for a map with none of the labels.
    """
    return Source(len(labels), tuple(_read_map(p, labels, size) for p in paths))


def _read_map(path: Path, labels: list[int], size: Size) -> np.ndarray:
    if not path.is_file():
        raise RoundoffError(f"label_maps: there is no file {path}")
    image = nib.squeeze_image(nib.load(path))
    side = max(16 * -(-n // 16) for n in (*size.box, round(256 / size.voxel_size)))
    grid = conform(image, Grid(voxel_size=size.voxel_size, shape=(side,) * 3))
    ids = np.asarray(resample_from_to(image, grid, order=0).dataobj).round()
    table = np.zeros(max(int(ids.max()), *labels) + 1, np.uint8)
    table[labels] = np.arange(1, len(labels) + 1)
    numbers = table[ids.astype(np.int64).clip(0)]
    if not numbers.any():
        raise RoundoffError(f"label_maps: {path} has none of the labels {labels}")
    middle = np.argwhere(numbers).mean(0)
    room = np.subtract(numbers.shape, size.box)
    offset = np.clip(np.round(middle - np.divide(size.box, 2)), 0, room)
    return np.ascontiguousarray(numbers[box_at(tuple(offset.astype(int)), size.box)])
