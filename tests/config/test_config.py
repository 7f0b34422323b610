"""A wrong setting is refused with its name and what to write instead."""

import subprocess
from pathlib import Path

import pytest
import yaml

from roundoff.config import load_config, resolve_subjects
from roundoff.config.default import default_config, default_yaml, json_schema
from roundoff.errors import RoundoffError

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = {"id": "01", "source": "bold5000_csi1"}


def refusal(**changes):
    with pytest.raises(RoundoffError) as error:
        resolve_subjects(load_config({"subjects": [SUBJECT]} | changes))
    return str(error.value)


def test_default_is_accepted():
    config = load_config(default_config())
    assert list(resolve_subjects(config)) == ["CSI1", "CSI2"]


def test_shipped_default_and_schema_match_the_types():
    schema = ROOT / "workflow/schemas/config.schema.json"
    assert schema.read_text() == json_schema(), (
        "rewrite with python -m roundoff.config.default"
    )
    command = ["git", "diff", "--quiet", "HEAD", "--", "config.yaml"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        pytest.skip("config.yaml was edited here, or git is absent")
    assert (ROOT / "config.yaml").read_text() == default_yaml()


def test_an_identifier_that_lost_its_zeros():
    rows = yaml.safe_load("[{id: 0025011, source: bold5000_csi1}]")
    message = refusal(subjects=rows)
    assert "subjects[0].id" in message
    assert "10761" in message
    assert "Quote it" in message


def test_an_identifier_with_forbidden_characters():
    message = refusal(subjects=[SUBJECT | {"id": "a; rm -rf /"}])
    assert "subjects[0].id" in message
    assert "letters and digits" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 0}, ["samples", "at least 2"]),
        ({"samples": 1}, ["samples", "at least 2"]),
        ({"control_samples": 1}, ["control_samples", "at least 2"]),
        ({"models": []}, ["models"]),
        ({"models": ["deepbrian"]}, ["models[0]", "Did you mean 'deepbrain'"]),
        ({"model_options": {"x": {}}}, ["model_options", "unknown model 'x'"]),
        ({"instrument": "magic"}, ["instrument", "native", "ieee", "magic"]),
        ({"sampels": 3}, ["sampels", "Did you mean 'samples'"]),
        ({"native": {"mode": "randon"}}, ["native.mode", "random"]),
        ({"subjects": []}, ["there is no subject"]),
        ({"subjects": [{"id": "01"}]}, ["subjects[0]", "source", "path"]),
        ({"subjects": [SUBJECT, SUBJECT]}, ["'01'", "twice"]),
        ({"subjects": [SUBJECT | {"source": "bold5000"}]}, ["Did you mean"]),
        ({"subjects": "none.tsv"}, ["none.tsv"]),
        ({"bids": {"dir": "/no/where"}}, ["bids.dir", "/no/where"]),
        ({"bids": {"dir": "/", "participants": [7]}}, ["participants", "Quote it"]),
        ({"probability": 1.0}, ["probability"]),
    ],
)
def test_other_mistakes(change, words):
    message = refusal(**change)
    for word in words:
        assert word in message


def test_a_table_of_subjects_keeps_zeros(tmp_path):
    table = tmp_path / "subjects.tsv"
    table.write_text("id\tpath\n0025011\t/a b/x.nii.gz\n0025248\t/y.nii.gz\n")
    subjects = resolve_subjects(load_config({"subjects": str(table)}))
    assert list(subjects) == ["0025011", "0025248"]
    assert subjects["0025011"].path == "/a b/x.nii.gz"


def test_a_table_without_its_columns(tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("subject,file\n1,2\n")
    assert "columns id and path" in refusal(subjects=str(table))


@pytest.fixture
def bids(tmp_path):
    for name in ("sub-01/anat/sub-01_T1w", "sub-02/ses-1/anat/sub-02_ses-1_T1w",
                 "sub-02/ses-2/anat/sub-02_ses-2_T1w"):  # fmt: skip
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "sub-03").mkdir()
    return tmp_path


def test_bids_folder(bids):
    asked = {"dir": str(bids), "participants": ["01"]}
    subjects = resolve_subjects(load_config({"bids": asked}))
    assert subjects["01"].path.endswith("sub-01_T1w.nii.gz")
    asked |= {"participants": ["02"], "session": "2"}
    subjects = resolve_subjects(load_config({"bids": asked}))
    assert subjects["02"].path.endswith("ses-2_T1w.nii.gz")


def test_bids_folder_with_several_sessions_asks_which(bids):
    message = refusal(bids={"dir": str(bids), "participants": ["02"]})
    assert "2 T1w images" in message
    assert "bids.session" in message


def test_bids_participant_without_a_scan(bids):
    message = refusal(bids={"dir": str(bids), "participants": ["03"]})
    assert "sub-03" in message
    assert "bids.exclude" in message
