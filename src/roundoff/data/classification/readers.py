"""From the bytes of published files to arrays (N, C, H, W) and labels (N,), uint8."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundoff.errors import RoundoffError

Arrays = dict[str, NDArray[np.uint8]]
Members = Mapping[str, bytes]

IDX_UINT8 = 0x08
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
PIXELS = 3 * 32 * 32  # of a CIFAR record: three planes of 32x32


@dataclass(frozen=True)
class Reader:
    """How one published form of a data set is read: its members, and the function."""

    members: Sequence[str]
    read: Callable[[Members], Arrays]


def idx(content: bytes, name: str = "idx file") -> NDArray[np.uint8]:
    """Array of an idx file of unsigned bytes (the format of MNIST).

    Raises `RoundoffError` where the header does not fit the content.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise RoundoffError(f"{name}: not an idx file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise RoundoffError(f"{name}: {len(content) - start} bytes for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx(members: Members) -> Arrays:
    """Four idx files, as MNIST and Fashion-MNIST have them."""
    arrays = {role: idx(members[f], f) for role, f in IDX_FILES.items()}
    return {r: a[:, None] if a.ndim == 3 else a for r, a in arrays.items()}


def read_png_rows(members: Members) -> Arrays:
    """CIFAR-10 as PNG pictures whose rows are images, with labels in JSON."""
    batches = [f"data_batch_{i}.png" for i in range(1, 6)]
    return {
        "train_images": np.concatenate([_png_rows(members[b]) for b in batches]),
        "train_labels": np.array(json.loads(members["train_lables.json"]), np.uint8),
        "test_images": _png_rows(members["test_batch.png"]),
        "test_labels": np.array(json.loads(members["test_lables.json"]), np.uint8),
    }


def _png_rows(content: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return np.ascontiguousarray(pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))


def read_cifar_binary(train: Sequence[str], test: str, labels: int) -> Callable:
    """Reader of CIFAR's binary version; the last of `labels` label bytes counts."""

    def split(content: bytes) -> tuple[NDArray, NDArray]:
        records = np.frombuffer(content, np.uint8).reshape(-1, labels + PIXELS)
        return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1]

    def read(members: Members) -> Arrays:
        parts = [split(members[name]) for name in train]
        images, targets = (np.concatenate(p) for p in zip(*parts, strict=True))
        test_images, test_labels = split(members[test])
        return {
            "train_images": images,
            "train_labels": targets,
            "test_images": test_images.copy(),
            "test_labels": test_labels.copy(),
        }

    return read


def read_svhn(members: Members) -> Arrays:
    """SVHN's cropped digits (MATLAB 5 files); its label 10 is the digit 0."""
    from scipy.io import loadmat

    arrays = {}
    for split in ("train", "test"):
        content = loadmat(io.BytesIO(members[f"{split}_32x32.mat"]))
        images = content["X"].transpose(3, 2, 0, 1)
        arrays[f"{split}_images"] = np.ascontiguousarray(images)
        arrays[f"{split}_labels"] = (content["y"].ravel() % 10).astype(np.uint8)
    return arrays


_IDX = Reader(tuple(IDX_FILES.values()), read_idx)
_BINARY_10 = [f"data_batch_{i}.bin" for i in range(1, 6)]
READERS: dict[str, tuple[Reader, ...]] = {
    "mnist": (_IDX,),
    "fashion_mnist": (_IDX,),
    "cifar10": (
        Reader(
            (
                *(f"data_batch_{i}.png" for i in range(1, 6)),
                "test_batch.png",
                "train_lables.json",
                "test_lables.json",
            ),
            read_png_rows,
        ),
        Reader(
            (*_BINARY_10, "test_batch.bin"),
            read_cifar_binary(_BINARY_10, "test_batch.bin", labels=1),
        ),
    ),
    "cifar100": (
        Reader(
            ("train.bin", "test.bin"),
            read_cifar_binary(["train.bin"], "test.bin", labels=2),
        ),
    ),
    "svhn": (Reader(("train_32x32.mat", "test_32x32.mat"), read_svhn),),
}
