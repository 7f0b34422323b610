"""Reading the reference segmentations the demo networks are judged by."""

from pathlib import Path

import nibabel as nib
import numpy as np

from roundoff.errors import RoundoffError

# Array axes run left, inferior, anterior, 1 mm: the file itself carries no affine.
_LIA = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def read_voxelmorph_scan(path: Path) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """VoxelMorph's test scan (.npz): skull-stripped T1, FreeSurfer segmentation."""
    with np.load(path) as stored:
        missing = {"vol", "seg"} - set(stored)
        if missing:
            raise RoundoffError(f"{path} has no array {missing.pop()!r}")
        image = nib.Nifti1Image(stored["vol"].astype(np.float32), _LIA)
        return image, nib.Nifti1Image(stored["seg"].astype(np.int16), _LIA)


def read_aal_names(path: Path) -> dict[int, str]:
    """Value to name of an AAL list: lines of "index name code"."""
    lines = [line.split() for line in path.read_text("utf-8").splitlines()]
    return {int(parts[0]): parts[1] for parts in lines if parts}
