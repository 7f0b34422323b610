"""SHA-256 of files and arrays."""

import hashlib
from pathlib import Path

import numpy as np

from roundoff.errors import RoundoffError


def sha256_of_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_array(array: np.ndarray) -> str:
    """Hexadecimal SHA-256 of an array's dtype, shape and values (C order)."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def require_sha256(path: str | Path, expected: str, field: str) -> None:
    """Raise `RoundoffError` unless the file has the expected SHA-256.

    `field` says where the expectation comes from, e.g. "subjects[0].sha256".
    """
    found = sha256_of_file(path)
    if found != expected.lower():
        raise RoundoffError(
            f"{path}: SHA-256 is {found}, but {field} says {expected}. "
            "The file is damaged or another one: fetch it again, or correct the "
            "checksum if you trust this file."
        )
