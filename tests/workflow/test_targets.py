"""Targets beside the default can be planned, or say what they need."""

import pytest

# One worker runs them all: they share the undisturbed study.


def test_published_tables_are_planned(study, reference):
    study.write(published_folder=str(reference / "published"))
    assert study.planned("--", "published") == {"published": 1}


def test_missing_published_tables_say_where_they_come_from(study):
    study.write(published_folder="nowhere")
    done = study.run("--dry-run", "--", "published", check=False)
    assert done.returncode != 0
    assert "nowhere" in done.stdout
    assert "2308.01939" in done.stdout
    assert "NameError" not in done.stdout


@pytest.mark.parametrize(
    "target",
    [
        "embeddings", "train_demo", "train_demo_more", "relu_zero", "agreement", "plan",
        "nan_sweep", "time_trials", "poolers", "poolers_published", "classifiers",
        "train_synthmorph", "training_stability", "segmentation_stability",
    ],
)  # fmt: skip
def test_other_targets_are_planned(study, target):
    study.write(models=["tiny", "fastsurfer_demo"])  # embeddings need its labels
    assert study.planned("--", target)[target] == 1
