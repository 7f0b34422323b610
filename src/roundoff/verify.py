"""Samples as stored, against what their sidecars say: before they become statistics.

A flipped bit in a compressed image goes unnoticed by image readers, and a file copied
over another still looks like a sample. Both would become "uncertainty".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from roundoff.checksums import sha256_of_array, sha256_of_file
from roundoff.errors import RoundoffError
from roundoff.images.check import require_whole_gzip

AGAIN = "Delete it with its sidecar and run again: only this sample is computed."


def verify_samples(
    paths: Sequence[Path], role: str, records: Sequence[Mapping[str, Any]]
) -> int:
    """Require every stored output to be the one its sidecar describes.

    `role` is the output ("labels", "map_<name>"), `records` the sidecars. Returns the
    number of values that are NaN or infinite, over all samples. Raises `RoundoffError`
    naming the first file that is damaged, is another sample's, or has no finite value.
    """
    return sum(_verify(p, role, r) for p, r in zip(paths, records, strict=True))


def require_grid(
    paths: Sequence[Path], image: Path, records: Sequence[Mapping[str, Any]]
) -> None:
    """Require samples on the grid of the conformed scan, and computed from this scan.

    `records`: the sidecars of `paths`. Raises `RoundoffError` naming the first file
    whose shape or affine differs, or whose sidecar names another input's SHA-256.
    """
    scan, digest = nib.load(image), sha256_of_file(image)
    for path, record in zip(paths, records, strict=True):
        if record["InputSha256"] != digest:
            raise RoundoffError(
                f"{path}: was computed from another scan than {image} as it is now "
                f"(SHA-256 differs). {AGAIN}"
            )
        sample = nib.load(path)
        same = sample.shape[:3] == scan.shape[:3]
        if not (same and np.allclose(sample.affine, scan.affine, atol=1e-5)):
            raise RoundoffError(
                f"{path}: shape {sample.shape} or affine differ from those of {image} "
                f"({scan.shape}). {AGAIN}"
            )


def _verify(path: Path, role: str, record: Mapping[str, Any]) -> int:
    require_whole_gzip(path, f"sample {record['Sample']}", AGAIN)
    try:
        values = np.asarray(nib.load(path).dataobj)
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise RoundoffError(f"{path}: cannot be read ({error}). {AGAIN}") from error
    stored = values.astype(record["OutputDtype"][role])
    if sha256_of_array(stored) != record["OutputSha256"][role]:
        raise RoundoffError(
            f"{path}: its values are not those that sample {record['Sample']} "
            f"computed (SHA-256 differs from its sidecar's). {AGAIN}"
        )
    wrong = values.size - int(np.count_nonzero(np.isfinite(values)))
    if wrong == values.size:
        raise RoundoffError(
            f"{path}: no voxel is finite: the network diverged under this instrument. "
            "Look at its input and weights; a sample like this has no digits to count."
        )
    return wrong
