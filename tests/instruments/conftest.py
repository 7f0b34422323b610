"""Valgrinds to test with: a stand-in, the system's, and one with Verrou."""

import json
import os
import shutil
import sys
from pathlib import Path

import fake_valgrind
import nibabel as nib
import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.instruments.installation import find_valgrind
from tests_support import phantom
from workflow_study import ROOT, TINY


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in for Verrou first on the PATH; returns its folder."""
    folder = tmp_path / "bin"
    fake_valgrind.install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture(scope="session")
def valgrind() -> str:
    """The system's Valgrind, any version."""
    path = shutil.which("valgrind")
    if path is None:
        pytest.skip("no valgrind on the PATH")
    return path


@pytest.fixture(scope="session")
def real_verrou():
    """A Valgrind that has Verrou."""
    try:
        return find_valgrind()
    except RoundoffError as missing:
        pytest.skip(f"no `valgrind --tool=verrou` here: {str(missing)[:120]}")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Arguments of scripts/infer.py for a tiny network, run in a folder of its own."""
    shutil.copy(ROOT / "tests/tiny_model.py", tmp_path)
    (tmp_path / "tiny.tsv").write_text(
        "index\tname\tcolor\n0\tair\t#000000\n1\tin\t#dd8800\n2\tout\t#0088dd\n"
    )
    side = 16
    values = phantom((side,) * 3).astype(np.float32)
    image = nib.Nifti1Image((values / 4).astype(np.uint8), np.diag([6.0, 6, 6, 1]))
    nib.save(image, tmp_path / "scan.nii.gz")
    entry = TINY | {"grid": {"voxel_size": 6.0, "shape": [side] * 3}}
    monkeypatch.chdir(tmp_path)

    def arguments(instrument, settings, seed=7, name="out"):
        return [
            sys.executable, str(ROOT / "scripts/infer.py"),
            "--model", "tiny", "--custom-models", json.dumps({"tiny": entry}),
            "--subject", "01", "--image", "scan.nii.gz", "--instrument", instrument,
            "--settings", json.dumps(settings), "--sample", "1", "--seed", str(seed),
            "--output", f"map_logit={name}/logit.nii.gz",
            "--output", f"labels={name}/labels.nii.gz",
            "--evidence", f"{name}/kept",
        ]  # fmt: skip

    arguments.folder = Path(tmp_path)
    return arguments
