"""Results are BIDS derivatives to the official validator."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roundoff.bids import dataset_description

PROGRAM = "bids-validator-deno"


def validator() -> str:
    """The program, beside this Python or on the path."""
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if not found:
        pytest.skip(f"{PROGRAM} is not installed")
    return found


@pytest.mark.parametrize("dataset", ["conformed", "tiny"])
def test_the_official_validator_finds_no_error(finished, dataset, tmp_path):
    folder = finished.folder / "results" / dataset
    # Its runtime keeps a cache; nothing shall be fetched or left in the home folder.
    environment = dict(os.environ, DENO_DIR=str(tmp_path), DENO_NO_UPDATE_CHECK="1")
    done = subprocess.run(
        [validator(), "--json", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [i for i in issues if i["severity"] == "error"]
    assert not errors
    assert done.returncode == 0


def test_the_description_names_versions_container_and_seed(finished):
    path = finished.folder / "results/tiny/dataset_description.json"
    made = json.loads(path.read_text())
    assert made["DatasetType"] == "derivative"
    names = {g["Name"] for g in made["GeneratedBy"]}
    assert {"Roundoff", "torch", "numba", "significantdigits"} <= names
    assert all(g["Version"] for g in made["GeneratedBy"])
    assert (
        "instrument native, master seed 2026" in made["GeneratedBy"][0]["Description"]
    )
    image = dataset_description("x", "roundoff@sha256:ab", 1, "y", "native")
    assert image["GeneratedBy"][0]["Container"]["Tag"] == "roundoff@sha256:ab"
