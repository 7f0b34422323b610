"""A study under Verrou: end to end with a stand-in for it, and with the real one."""

import json
import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.instruments.installation import find_valgrind
from workflow_study import Study

sys.path.append(str(Path(__file__).parents[1] / "instruments"))
import fake_valgrind

pytestmark = [pytest.mark.slow]


@pytest.fixture
def study(tmp_path):
    study = Study(tmp_path / "a study", subjects=("01",))
    study.write(instrument="verrou", samples=2)
    return study


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    fake_valgrind.install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def anat(study, label, run, kind="stat-logit_statmap"):
    stem = f"sub-01_rec-{label}_run-{run}_{kind}"
    return study.folder / f"results/tiny/sub-01/anat/{stem}.nii.gz"


def values(path):
    return np.asarray(nib.load(path).dataobj)


def record(path):
    return json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())


def check_finished(study):
    samples = [anat(study, "verrou", run) for run in ("001", "002")]
    assert (values(samples[0]) != values(samples[1])).mean() > 0.1
    for path in samples:
        evidence = record(path)["Evidence"]
        assert evidence["perturbed_operations"] > 32**3 * 27
        kept = study.folder / evidence["exclusion_file"]
        assert "libm.so" in kept.read_text()
        assert (study.folder / evidence["valgrind_log"]).is_file()
    control = values(anat(study, "ieee", "001"))
    assert np.array_equal(control, values(anat(study, "nearest", "001")))
    assert np.allclose(control, values(samples[0]), rtol=1e-4, atol=1e-5)
    found = study.folder / "results/control/tiny/sub-01_control.json"
    assert set(json.loads(found.read_text())["ValgrindChanges"]) == {
        anat(study, "ieee", "001").name,
        anat(study, "ieee", "001", "seg-tiny_dseg").name,
    }
    page = (study.folder / "results/report.html").read_text()
    for words in ("Canary, Verrou:", "Canary, Verrou to nearest:", "by Verrou"):
        assert words in page
    assert not list((study.folder / "results").rglob(".partial*"))


def test_a_whole_study(study, stand_in):
    planned = study.planned()
    assert planned["infer_tiny"] == 2 + 1 + 1 + 2
    assert planned["canary"] == 4
    study.run()
    check_finished(study)
    assert study.planned() == {}


def test_a_whole_study_under_the_real_verrou(study):
    try:
        find_valgrind()
    except RoundoffError as missing:
        pytest.skip(f"no `valgrind --tool=verrou` here: {str(missing)[:120]}")
    study.run()
    check_finished(study)


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("silent", "it is not acting"),
        ("killed", "was killed (exit 137)"),
        ("wrong_nearest", "the control is not one"),
    ],
)
def test_a_canary_that_fails_stops_the_study(study, stand_in, monkeypatch, fail, words):
    monkeypatch.setenv("FAKE_VERROU", fail)
    label = "nearest" if fail == "wrong_nearest" else "verrou"
    done = study.run(f"results/canary/{label}.json", check=False)
    assert done.returncode != 0
    assert words in done.stdout
    assert not (study.folder / "results/tiny").exists()
    assert not list((study.folder / "results").rglob("*.partial*"))


def test_without_verrou_nothing_is_computed(study, monkeypatch):
    study.write(verrou={"valgrind": "no-such-valgrind"})
    done = study.run(check=False)
    assert done.returncode != 0
    assert "no Valgrind called 'no-such-valgrind'" in done.stdout
    assert "fetch_source.py --source verrou" in done.stdout
    left = list((study.folder / "results").rglob("*_rec-*"))
    assert all("rec-plain" in path.name for path in left)


def test_agreement_without_verrou_says_how_to_get_it(study):
    study.write(instrument="native", verrou={"valgrind": "no-such-valgrind"})
    done = study.run("--", "agreement")
    assert "skipped" in done.stdout
    text = (study.folder / "results/agreement/summary.md").read_text()
    assert "fetch_source.py --source verrou" in text


def test_agreement_of_two_instruments(study, stand_in):
    study.write(instrument="native", agreement={"models": ["tiny"], "samples": 2})
    study.run("--", "agreement")
    folder = study.folder / "results/agreement"
    assert "Tiny network" in (folder / "summary.md").read_text()
    assert (folder / "tiny_sub-01.png").is_file()


def test_the_plan_of_a_study(study):
    done = study.run("--", "plan")
    assert "What the study will cost" in done.stdout
    assert (study.folder / "results/plan/plan.tsv").is_file()
