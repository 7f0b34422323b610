"""Refusing bad volumes before anything is computed from them."""

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from roundoff.atomic import write_json
from roundoff.errors import RoundoffError

READABLE = (".nii", ".nii.gz", ".mgz", ".mgh")


def check_volume(path: str | Path, field: str = "image") -> None:
    """Read a volume in full and raise `RoundoffError` unless a model can use it.

    `field` names the setting the path came from. A damaged gzip stream is found by its
    own checksum, which image readers skip.
    """
    load_volume(path, field)


def load_volume(
    path: str | Path, field: str = "image"
) -> nib.spatialimages.SpatialImage:
    """The volume at `path` as a 3-D image held in memory, checked.

    Refused: missing, unreadable or truncated files, other than three dimensions
    (trailing dimensions of length 1 are dropped), values that are not finite real
    numbers, a constant image, a singular affine.
    """
    path = Path(path)
    _require_file(path, field)
    require_whole_gzip(path, field)
    try:
        image = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise RoundoffError(
            f"{field}: {path} cannot be read as an image ({error}). "
            "Copy it again from where it came from."
        ) from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    _require_usable(values, image.affine, path, field)
    header = image.header.copy()
    header.set_data_shape(values.shape)
    return type(image)(values, image.affine, header)


def check_volumes(paths: Mapping[str, Path], cache: Path) -> None:
    """Check several volumes (field name to path), each once per content.

    `cache` remembers size and modification time of the files found good, so repeated
    calls cost nothing.
    """
    known = json.loads(cache.read_text()) if cache.is_file() else {}
    good = dict(known)
    for field, path in paths.items():
        _require_file(path, field)
        state = [path.stat().st_size, path.stat().st_mtime_ns]
        if good.get(str(path.resolve())) != state:
            check_volume(path, field)
            good[str(path.resolve())] = state
    if good != known:
        write_json(cache, good)


def _require_file(path: Path, field: str) -> None:
    if not path.is_file():
        raise RoundoffError(
            f"{field}: there is no file {path}. Correct the path in the configuration "
            "(relative paths start where snakemake is run)."
        )
    if not path.name.endswith(READABLE):
        raise RoundoffError(
            f"{field}: {path} is none of {', '.join(READABLE)}. "
            "Convert it first (for DICOM: dcm2niix)."
        )
    if path.stat().st_size == 0:
        raise RoundoffError(f"{field}: {path} is empty (0 bytes). Copy it again.")


def require_whole_gzip(
    path: Path, field: str, advice: str = "Copy it again from where it came from."
) -> None:
    """Read a gzip stream to its end and checksum; other files pass.

    Raises `RoundoffError` naming `field` and the file, with `advice`.
    """
    if not path.name.endswith(("gz", "mgz")):
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 22):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise RoundoffError(
            f"{field}: {path} is damaged or truncated ({error}; `gzip -t` shows the "
            f"same). {advice}"
        ) from error


def _require_usable(values: np.ndarray, affine, path: Path, field: str) -> None:
    if values.ndim != 3:
        raise RoundoffError(
            f"{field}: {path} has {values.ndim} dimensions {values.shape}; a T1w "
            "volume has three. Extract one volume (for example `fslroi IN OUT 0 1`)."
        )
    if values.dtype.kind not in "uif":
        raise RoundoffError(
            f"{field}: {path} holds {values.dtype} values; one real number per voxel "
            "is needed. Convert it to a scalar image."
        )
    wrong = values.size - np.count_nonzero(np.isfinite(values))
    if wrong:
        raise RoundoffError(
            f"{field}: {path} has {wrong} NaN or infinite voxels. Replace them (for "
            "example `fslmaths IN -nan OUT`) or repeat the step that made them."
        )
    if values.min() == values.max():
        raise RoundoffError(f"{field}: {path} is constant: there is no head in it.")
    if affine is None or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise RoundoffError(
            f"{field}: {path} has a singular affine: orientation and voxel size are "
            "unknown. Repair its header."
        )
