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
