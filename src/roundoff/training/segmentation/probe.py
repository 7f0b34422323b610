"""What a segmentation network makes of heads it never saw, and what heads show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from roundoff.atomic import atomic_path
from roundoff.training.registration.quality import mean_dice
from roundoff.training.segmentation.slices import Slices
from roundoff.training.stability import Seen

SPACING = 4  # slices between two that are kept


@dataclass(frozen=True)
class Heads:
    """Heads on the network's grid: `images`, `labels` (H, D, H, W) uint8, classes of
    the demo segmentation; `names` of the heads."""

    names: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class SliceProbe:
    """Every few slices of heads, labelled by one view's network.

    `stacks` (N, channels, H, W) float32 in 0-1, `truth` (N, H, W) uint8. The outputs
    are the scores of the winning classes.
    """

    stacks: Tensor
    truth: np.ndarray

    def __call__(self, network: nn.Module) -> Seen:
        scores, labels = zip(
            *(network(part).max(1) for part in self.stacks.split(8)), strict=True
        )
        found = torch.cat(labels).numpy().astype(np.uint8)
        dice, _ = mean_dice(found, self.truth)
        return Seen(torch.cat(scores).numpy().ravel(), found.ravel(), dice)


def make_probe(heads: Heads, slices: Slices) -> SliceProbe:
    """Every `SPACING`-th slice with brain, in the view and classes of the training."""
    view, channels, table = slices.view, slices.channels, slices.table.numpy()
    stacks, truth = [], []
    for image, labels in zip(heads.images, heads.labels, strict=True):
        shown = np.flatnonzero(np.moveaxis(labels, view.order[2], 0).any(axis=(1, 2)))
        numbers = torch.from_numpy(shown[::SPACING])
        volume, classes = torch.from_numpy(image), torch.from_numpy(labels)
        stacks.append(view.slices(volume, numbers, channels).float() / 255)
        truth.append(table[view.slices(classes, numbers, 1)[:, 0].numpy()])
    truth = np.concatenate(truth).astype(np.uint8)
    return SliceProbe(torch.cat(stacks), truth)


def save_heads(heads: Heads, path: Path) -> None:
    """Store heads (.npz)."""
    arrays = {"names": heads.names, "images": heads.images, "labels": heads.labels}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_heads(path: Path) -> Heads:
    """Read heads of `save_heads`."""
    with np.load(path) as stored:
        names = tuple(str(name) for name in stored["names"])
        return Heads(names, stored["images"], stored["labels"])


def label_heads(scans: Sequence[Path], weights: dict[str, Path]) -> Heads:
    """Scans on the 2 mm grid, labelled by the demo segmentation of FastSurferVINN."""
    import nibabel as nib

    from roundoff.images.conform import conform
    from roundoff.training.segmentation.classes import from_freesurfer
    from roundoff.training.segmentation.evaluation import (
        GRID,
        demo_segmentation,
        segment,
    )

    model = demo_segmentation(weights)
    images, labels = [], []
    for path in scans:
        scan = nib.load(path)
        images.append(np.asarray(conform(scan, GRID).dataobj))
        labels.append(from_freesurfer(np.asarray(segment(model, scan).dataobj)))
    names = tuple(path.name.split(".")[0] for path in scans)
    return Heads(names, np.stack(images), np.stack(labels).astype(np.uint8))
