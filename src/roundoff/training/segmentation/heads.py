"""Labelled heads for training: reading, conforming, pseudo-labels, storing."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nibabel.processing import resample_from_to
from scipy.ndimage import binary_dilation

from roundoff.atomic import atomic_path
from roundoff.images.conform import conform
from roundoff.models.base import Grid
from roundoff.training.segmentation.classes import from_freesurfer
from roundoff.training.segmentation.generator import Head
from roundoff.training.segmentation.pseudo_labels import refine, warp_priors
from roundoff.training.segmentation.registration import register
from roundoff.training.segmentation.warps import gaussian_blur

FINE = Grid()  # 1 mm, 256 x 256 x 256, LIA, uint8: heads are kept at this grid
MARGIN = 12  # coarse (2 mm) voxels kept around the template's brain
HALO = 7  # coarse voxels around the brain that guide the registration: skull, scalp


def template_head(scan: Path, segmentation: Path, name: str = "template") -> Head:
    """A head whose labels come with it, as FreeSurfer ids on any grid."""
    image = conform(nib.load(scan), FINE)
    labels = nib.squeeze_image(nib.load(segmentation))
    ids = np.asarray(resample_from_to(labels, image, order=0).dataobj).round()
    # Left of the mid-sagittal plane of the template's own space.
    x = np.arange(FINE.shape[0]) * image.affine[0, 0] + image.affine[0, 3]
    left = np.broadcast_to((x < 0)[:, None, None], ids.shape)
    return Head(name, np.asarray(image.dataobj), from_freesurfer(ids, left))


def pseudo_labelled_head(
    scan: Path,
    template: Head,
    name: str,
    iterations: tuple[int, int, int] = (60, 80, 60),
    report: Callable[[str], None] = lambda text: None,
) -> Head:
    """An unlabelled head with labels from the registered template."""
    image = np.asarray(conform(nib.load(scan), FINE).dataobj)
    mask = template.labels[::2, ::2, ::2] > 0
    corners = np.argwhere(mask)
    low = np.maximum(corners.min(0) - MARGIN, 0)
    box = tuple(
        slice(int(a), int(b) + MARGIN + 1)
        for a, b in zip(low, corners.max(0), strict=True)
    )
    weight = torch.from_numpy(binary_dilation(mask, iterations=HALO)[box]).float()
    fixed = _half(template.image)[box].contiguous()
    alignment = register(
        fixed, _half(image), weight, iterations=iterations, report=report
    )
    priors = warp_priors(template.labels, alignment, low, image.shape)
    return Head(name, image, refine(image, priors))


def save_head(head: Head, path: Path) -> None:
    """Store a head (.npz: image, labels, name)."""
    arrays = {"image": head.image, "labels": head.labels, "name": head.name}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_head(path: Path) -> Head:
    """Read a head written by `save_head`."""
    with np.load(path) as stored:
        return Head(str(stored["name"]), stored["image"], stored["labels"])


def _half(image: np.ndarray) -> torch.Tensor:
    """Every second voxel of the blurred image, scaled to about 0-1."""
    volume = torch.from_numpy(image.astype(np.float32) / 128)[None]
    return gaussian_blur(volume, 0.7)[0, ::2, ::2, ::2].contiguous()
