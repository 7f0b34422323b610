"""Who takes part and which image is theirs, from a BIDS folder."""

import json

import pytest

from roundoff.config import load_config, resolve_subjects
from roundoff.errors import RoundoffError

IMAGES = [
    "sub-01/anat/sub-01_acq-mprage_run-01_T1w",
    "sub-01/anat/sub-01_acq-mprage_run-02_T1w",
    "sub-01/anat/sub-01_acq-spgr_run-01_T1w",
    "sub-01/anat/sub-01_T1w",
    "sub-01/func/sub-01_task-rest_bold",
    "sub-0002/ses-a/anat/sub-0002_ses-a_T1w",
    "sub-0002/ses-a/anat/sub-0002_ses-a_T2w",
    "sub-0002/ses-b/anat/sub-0002_ses-b_T1w",
    "sub-03/anat/sub-03_T1w",
]


@pytest.fixture
def folder(tmp_path):
    for name in IMAGES:
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def resolve(folder, **settings):
    config = load_config({"bids": {"dir": str(folder), **settings}})
    return resolve_subjects(config)


def refusal(folder, **settings):
    with pytest.raises(RoundoffError) as error:
        resolve(folder, **settings)
    return str(error.value)


def with_filter(folder, **entities):
    path = folder / "filter.json"
    path.write_text(json.dumps({"t1w": entities}))
    return str(path)


@pytest.mark.parametrize(
    ("entities", "name"),
    [
        ({"acquisition": "mprage", "run": "02"}, "acq-mprage_run-02"),
        ({"acquisition": "mprage", "run": 2}, "acq-mprage_run-02"),
        ({"acq": "spgr"}, "acq-spgr_run-01"),
        ({"acquisition": ["none", "spgr"]}, "acq-spgr_run-01"),
        ({"acquisition": None, "run": None}, "sub-01_T1w"),
    ],
)
def test_a_filter_file_chooses_among_images(folder, entities, name):
    path = with_filter(folder, **entities)
    subjects = resolve(folder, participants=["01"], filter_file=path)
    assert name in subjects["01"].path


def test_participants_tsv_says_who_and_in_which_order(folder):
    table = "participant_id\tage\nsub-03\t40\nsub-0002\t30\n"
    (folder / "participants.tsv").write_text(table)
    subjects = resolve(folder, session=None, exclude=["0002"])
    assert list(subjects) == ["03"]
    (folder / "participants.tsv").write_text("participant_id\n0002\n03\n")
    path = with_filter(folder, session=["b", None])
    assert list(resolve(folder, filter_file=path)) == ["0002", "03"]


def test_participants_without_a_folder_are_named(folder):
    (folder / "participants.tsv").write_text("participant_id\nsub-07\n")
    assert "sub-07" in refusal(folder)


def test_a_table_without_identifiers_is_refused(folder):
    (folder / "participants.tsv").write_text("subject,age\n01,4\n")
    assert "no column participant_id" in refusal(folder)


def test_several_images_are_listed(folder):
    message = refusal(folder, participants=["01"])
    assert "4 T1w images" in message
    assert "bids.filter_file" in message


def test_an_image_that_no_filter_finds(folder):
    path = with_filter(folder, acquisition="flash")
    message = refusal(folder, participants=["03"], filter_file=path)
    assert "acq=flash" in message


def test_unknown_exclusions_are_refused(folder):
    assert "bids.exclude: 99" in refusal(folder, exclude=["99"])


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "no JSON"), ('{"bold": {}}', "no section t1w"), ("[]", "no section t1w")],
)
def test_bad_filter_files_are_refused(folder, content, words):
    path = folder / "filter.json"
    path.write_text(content)
    assert words in refusal(folder, filter_file=str(path))


def test_a_missing_filter_file_is_named(folder):
    assert "there is no file" in refusal(folder, filter_file="nowhere.json")


def test_real_brains_of_a_bids_folder(shared_data):
    subjects = resolve(shared_data / "t1/ds002748", exclude=["06", "66"])
    assert list(subjects) == ["34", "50", "54", "63"]
    assert subjects["50"].path.endswith("sub-50_T1w.nii.gz")
