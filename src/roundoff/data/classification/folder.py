"""Large sets kept as pictures, one folder per class (ImageNet): read one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundoff.errors import RoundoffError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True)
class ImageFolder:
    """Pictures of `root`/CLASS/NAME; classes are numbered in alphabetical order.

    Each is scaled so that its shorter side is `resize` pixels, and its centre is cut
    out, `size` pixels square. Raises `RoundoffError` for a folder without classes or
    pictures.
    """

    root: Path
    resize: int = 256
    size: int = 224

    def __post_init__(self) -> None:
        if not self.files:
            raise RoundoffError(
                f"{self.root}: there is no folder of classes with pictures. It must "
                "look like ImageNet's validation set: ROOT/n01440764/NAME.JPEG, ..."
            )
        if self.size > self.resize:
            raise RoundoffError(f"size {self.size} is larger than resize {self.resize}")

    @property
    def classes(self) -> list[str]:
        """Names of the classes; their place is their label."""
        return sorted(p.name for p in Path(self.root).glob("*") if p.is_dir())

    @property
    def files(self) -> list[tuple[Path, int]]:
        """Every picture with its label, in order of class and name."""
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((Path(self.root) / name).iterdir())
            if path.suffix.lower() in SUFFIXES
        ]

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Images (3, size, size) uint8 and labels, one after another."""
        for path, label in self.files:
            yield self.read(path), label

    def read(self, path: Path) -> NDArray[np.uint8]:
        """One picture, (3, size, size) uint8."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                picture = picture.convert("RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise RoundoffError(f"{path}: not a picture ({error})") from error
        scale = self.resize / min(picture.size)
        width, height = (round(side * scale) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        box = (left, top, left + self.size, top + self.size)
        return np.ascontiguousarray(np.asarray(picture.crop(box)).transpose(2, 0, 1))
