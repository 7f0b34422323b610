"""The same voxels of many samples, a slab at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from roundoff.errors import RoundoffError


class SampleStack:
    """N volumes on one grid, read together in slabs of whole slices.

    Memory stays near `budget` bytes whatever N and the volume's size: a slab holds as
    many slices as fit for all samples, and each file is decompressed once, front to
    back.
    """

    def __init__(self, paths: Sequence[str | Path], budget: int = 1 << 24) -> None:
        """Open the headers and require one shape, affine and stored type.

        Raises `RoundoffError` naming the file that differs from the first.
        """
        self.paths = [Path(p) for p in paths]
        self._images = [nib.load(p, keep_file_open=True) for p in self.paths]
        first = self._images[0]
        self.shape, self.affine = first.shape, first.affine
        self.dtype = first.get_data_dtype()
        for path, image in zip(self.paths, self._images, strict=True):
            self._require_same(path, image)
        slice_bytes = int(np.prod(self.shape[:2])) * self.dtype.itemsize
        per_slice = slice_bytes * int(np.prod(self.shape[3:])) * len(paths)
        self.depth = max(1, min(self.shape[2], budget // max(per_slice, 1)))

    def __len__(self) -> int:
        return len(self.paths)

    def slabs(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (slice along axis 2, array (N, X, Y, depth[, components]))."""
        for start in range(0, self.shape[2], self.depth):
            part = slice(start, min(start + self.depth, self.shape[2]))
            index = (slice(None), slice(None), part)
            yield (
                part,
                np.stack([np.asarray(i.dataobj[index]) for i in self._images]),
            )

    def _require_same(self, path: Path, image) -> None:
        same = (
            image.shape == self.shape
            and image.get_data_dtype() == self.dtype
            and np.allclose(image.affine, self.affine, atol=1e-5)
        )
        if not same:
            raise RoundoffError(
                f"{path}: shape {image.shape}, type {image.get_data_dtype()} or affine "
                f"differ from {self.paths[0]} ({self.shape}, {self.dtype}). Samples of "
                "one subject must share a grid: delete the odd one and run again."
            )
