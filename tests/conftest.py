"""Fixtures shared by the whole suite."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests_support import phantom
from workflow_study import Study

# The same examples in every run; HYPOTHESIS_PROFILE=search looks for others.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(part: str) -> Path:
    folder = SHARED / part
    if not folder.is_dir():
        pytest.skip(f"reference folder {part!r} is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same draws, whichever ran before it."""
    torch.manual_seed(0)


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """A study that ran undisturbed to its report."""
    study = Study(tmp_path_factory.mktemp("undisturbed"))
    study.run()
    return study


@pytest.fixture
def study(tmp_path) -> Study:
    """A study that has not run."""
    return Study(tmp_path)
