"""Fixtures shared by the whole suite."""

import json
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(part: str) -> Path:
    folder = SHARED / part
    if not folder.is_dir():
        pytest.skip(f"reference folder {part!r} is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of reference data nobody here wrote; skips where it is absent."""
    return _shared("reference")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans, labels and weights; skips where it is absent."""
    return _shared("data")


@pytest.fixture(scope="session")
def verrou(reference):
    """Stored runs under the real Verrou: (arrays by name, description by case)."""
    arrays = np.load(reference / "verrou_ops.npz")
    return arrays, json.loads((reference / "verrou_ops.json").read_text())


def phantom(shape=(40, 48, 44), seed=0):
    """A head-like volume: an ellipsoid with a textured inside, air around it."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1.2, 1.2, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = x**2 + y**2 + z**2 < 1
    values = 300 + 200 * np.cos(3 * x) + 60 * y + 20 * rng.standard_normal(shape)
    return np.where(inside, values, 0).astype(np.int16)


@pytest.fixture
def write_phantom(tmp_path):
    """Write a phantom to a file and return its path."""
    import nibabel as nib

    def write(name="scan.nii.gz", seed=0, voxel=4.0, values=None):
        values = phantom(seed=seed) if values is None else values
        affine = np.diag([voxel, voxel, voxel, 1.0])
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values, affine), path)
        return path

    return write
