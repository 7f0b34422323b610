"""The image `roundoff`, built by its recipe, computes what the host computes."""

import json
import os
import subprocess

import nibabel as nib
import numpy as np
import pytest

from roundoff import layout
from workflow_study import Study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]

SAMPLE = "results/tiny/sub-01/anat/sub-01_rec-native_run-001_stat-logit_statmap"
CONTROL = SAMPLE.replace("native", "ieee")
SAMPLES = [f"{stem}.nii.gz" for stem in (CONTROL, SAMPLE)]


@pytest.fixture(scope="module")
def on_host(tmp_path_factory) -> Study:
    """Two samples computed on the host."""
    study = Study(tmp_path_factory.mktemp("host"), subjects=("01",))
    study.run("--", *SAMPLES)
    return study


@pytest.fixture
def study(tmp_path) -> Study:
    """A study in a folder with a space, a quote and a dollar in its name."""
    folder = tmp_path / "my $tudy's data"
    folder.mkdir()
    study = Study(folder, subjects=("01",))
    study.write(samples=2)
    return study


def record(study, stem=SAMPLE):
    return json.loads((study.folder / f"{stem}.json").read_text())


def require_same(study, other):
    for path in SAMPLES:
        a, b = (np.asarray(nib.load(s.folder / path).dataobj) for s in (study, other))
        assert np.array_equal(a, b, equal_nan=True), path


def test_the_image_says_what_it_is_and_proves_itself(image, docker):
    found = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--user", "4321:4321", image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["Place"]["runtime"] == "docker"
    assert told["Instruments"]["native"]["Passed"] is True
    labels = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .Config}}", image],
        capture_output=True,
        text=True,
        check=True,
    )
    config = json.loads(labels.stdout)
    assert config["Labels"]["roundoff.torch"].startswith("2.13")
    assert config["User"] not in ("", "root", "0")


def test_samples_in_docker_equal_those_of_the_host(image, study, on_host):
    study.write(runtime="docker", images={"roundoff": image})
    study.run("--", *SAMPLES)
    require_same(study, on_host)
    assert record(study)["Container"] == f"docker:{image}"
    assert record(on_host)["Container"] == "none"
    written = [p for p in (study.folder / "results").rglob("*") if p.is_file()]
    assert {p.stat().st_uid for p in written} == {os.getuid()}


def test_a_sample_that_runs_out_of_memory_leaves_nothing(image, study):
    study.write(runtime="docker", images={"roundoff": image})
    done = study.run(
        *("--set-resources", "infer_tiny:mem_mb=150", "--", SAMPLES[1]), check=False
    )
    assert done.returncode != 0
    assert "memory ran out (limit 150 MB)" in done.stdout
    folder = (study.folder / SAMPLE).parent
    assert not [p.name for p in folder.glob("*native*")]
    assert not [p.name for p in folder.glob(".partial*")]


def test_the_workflow_runs_inside_docker(image, study):
    folder = study.folder
    command = ["docker", "run", "--rm", "--init", "--network", "none"]
    command += ["--user", f"{os.getuid()}:{os.getgid()}", "--workdir", str(folder)]
    command += ["--mount", f"type=bind,source={folder},target={folder}", image]
    command += ["snakemake", "--snakefile", "/opt/roundoff/Snakefile", "--cores", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "sub-01" in (folder / "results/report.html").read_text()


def test_the_workflow_runs_under_apptainer(sandbox, study, on_host):
    study.write(images={"roundoff": str(sandbox)})
    study.run("--software-deployment-method", "apptainer")
    assert "sub-01" in (study.folder / "results/report.html").read_text()
    require_same(study, on_host)
    assert record(study)["Container"] == f"apptainer:{sandbox}"


def test_a_container_that_was_asked_for_and_ignored_is_an_error(study):
    study.write(runtime="apptainer")
    done = study.run("--", layout.canary_file("ieee"), check=False)
    assert done.returncode != 0
    assert "--software-deployment-method apptainer" in done.stdout


def test_a_job_that_landed_on_the_host_is_an_error(study, monkeypatch):
    monkeypatch.setenv("ROUNDOFF_RUNTIME", "apptainer")
    done = study.run("--", layout.canary_file("ieee"), check=False)
    assert done.returncode != 0
    assert "the container was not started" in done.stdout
    assert not (study.folder / layout.canary_file("ieee")).exists()
