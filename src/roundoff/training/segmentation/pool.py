"""The pool of training volumes on disk: drawn once, sliced many times."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError
from roundoff.training.segmentation.generator import Generator


def write_pool(
    generator: Generator,
    count: int,
    path: Path,
    report: Callable[[str], None] = lambda text: None,
) -> None:
    """Draw `count` volumes into a .npy file (count, 2, D, H, W), uint8.

    Entry 0 of the second axis is the image, entry 1 the class indices.
    """
    with atomic_path(path) as temporary:
        pool = np.lib.format.open_memmap(
            temporary, "w+", np.uint8, (count, 2, *generator.shape)
        )
        for number in range(count):
            pool[number] = generator.draw(number)
            if (number + 1) % 10 == 0:
                report(f"{number + 1} of {count} volumes")
        pool.flush()
        del pool


def open_pool(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a pool, as memory maps of shape (count, D, H, W)."""
    try:
        pool = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise RoundoffError(f"pool: cannot read {path} ({error})") from None
    if pool.ndim != 5 or pool.shape[1] != 2 or pool.dtype != np.uint8:
        raise RoundoffError(
            f"pool: {path} has shape {pool.shape} and type {pool.dtype}, expected "
            "(count, 2, D, H, W) of uint8; write it with the pool command"
        )
    return pool[:, 0], pool[:, 1]
