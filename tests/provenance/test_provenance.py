"""The manifest of the scans, the list of checksums and the RO-Crate of a run."""

import hashlib
import json
import shutil
import subprocess

import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from roundoff.config import load_config
from roundoff.provenance.checksums import checksums


@pytest.fixture(scope="module")
def described(finished, tmp_path_factory):
    """A copy of the finished study, with its provenance."""
    folder = tmp_path_factory.mktemp("described") / "study"
    shutil.copytree(finished.folder, folder)
    moved = type(finished).at(folder, finished.config)
    moved.run("--", "provenance")
    return folder / "results"


def test_the_manifest_lists_every_scan(finished):
    table = pd.read_csv(
        finished.folder / "results/inputs.tsv", sep="\t", dtype={"subject": str}
    )
    assert list(table["subject"]) == ["01", "0002"]
    row = table.iloc[0]
    content = (finished.folder / row["file"]).read_bytes()
    assert row["bytes"] == len(content)
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert row["voxel_size_mm"] == "4.0x4.0x4.0"


def test_the_crate_opens_and_says_what_was_run(described):
    crate = ROCrate(described)
    action = crate.get("#run")
    assert {e["sha256"] for e in action["object"]} == set(
        pd.read_csv(described / "inputs.tsv", sep="\t")["sha256"]
    )
    results = {e.id for e in action["result"]}
    assert {"report.html", "tables/bits.tsv", "tiny/", "conformed/"} <= results
    assert "rounded" in crate.description
    assert crate.get("#roundoff")["softwareVersion"]
    for entity in crate.data_entities:
        assert (described / entity.id).exists()


def test_the_checksums_are_those_of_the_files(described):
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=described / "provenance",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    listed = (described / "provenance/SHA256SUMS").read_text()
    assert len(listed.splitlines()) == len(checksums(described))
    crate = json.loads((described / "ro-crate-metadata.json").read_text())
    assert len(crate["@graph"]) > 20


def test_the_stored_configuration_makes_the_same_run(described):
    import yaml

    stored = yaml.safe_load((described / "provenance/config.yaml").read_text())
    config = load_config(stored)
    assert config.samples == 3
    assert config.as_yaml() == (described / "provenance/config.yaml").read_text()
