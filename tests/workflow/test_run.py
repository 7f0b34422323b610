"""The whole workflow on small heads: what it leaves, and what it does again."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from roundoff import layout

# One worker runs them all: they share the undisturbed study.


def sample(study, instrument, run, kind="stat-logit_statmap", subject="01"):
    name = f"sub-{subject}_rec-{instrument}_run-{run}_{kind}"
    return study.folder / f"results/tiny/sub-{subject}/anat/{name}.nii.gz"


def values(path):
    return np.asarray(nib.load(path).dataobj)


def test_report_and_figures_are_there(finished):
    page = (finished.folder / "results/report.html").read_text()
    assert "sub-0002" in page
    assert "random weights" in page
    assert page.count("data:image/png") == 2 + 2 * 6
    assert 'src="http' not in page


def test_native_samples_differ_and_controls_do_not(finished):
    native = [values(sample(finished, "native", f"00{i}")) for i in (1, 2, 3)]
    assert (native[0] != native[1]).mean() > 0.1
    assert (native[1] != native[2]).mean() > 0.1
    control = [values(sample(finished, "ieee", f"00{i}")) for i in (1, 2)]
    assert np.array_equal(*control)
    assert np.allclose(native[0], control[0], rtol=1e-4, atol=1e-5)


def test_sidecars_tell_how_a_sample_was_made(finished):
    path = sample(finished, "native", "002").with_name(
        "sub-01_rec-native_run-002_stat-logit_statmap.json"
    )
    record = json.loads(path.read_text())
    assert record["Sample"] == 2
    assert record["Instrument"]["mode"] == "random"
    assert record["Evidence"]["perturbed_operations"] > 32**3 * 27
    assert record["Threads"] == 1
    assert len(record["InputSha256"]) == 64


def test_tables_agree_with_the_samples(finished):
    bits = pd.read_csv(
        finished.folder / "results/tables/bits.tsv", sep="\t", dtype={"subject": str}
    )
    assert set(bits["subject"]) == {"01", "0002"}
    row = bits[(bits.subject == "01") & (bits.region == "all")].set_index("estimator")
    stack = np.stack([values(sample(finished, "native", f"00{i}")) for i in (1, 2, 3)])
    state = values(
        finished.folder / "results/tiny/sub-01/anat/"
        "sub-01_rec-native_stat-logitstate_statmap.nii.gz"
    )
    inside = state >= 3
    mean = stack.mean(axis=0, dtype=np.float64)
    error = np.abs(stack / np.where(mean == 0, 1, mean) - 1).max(axis=0)
    with np.errstate(divide="ignore"):
        expected = np.clip(np.floor(-np.log2(error)), 0, 23)
    assert row.loc["general", "mean"] == pytest.approx(
        expected[inside].mean(), abs=0.02
    )
    assert row.loc["cnh", "mean"] < row.loc["general", "mean"]


def test_derivatives_describe_themselves(finished):
    for dataset in ("tiny", "conformed"):
        folder = finished.folder / "results" / dataset
        content = json.loads((folder / "dataset_description.json").read_text())
        assert content["DatasetType"] == "derivative"
        assert content["GeneratedBy"][0]["Name"] == "Roundoff"
        assert "statmap" in (folder / ".bidsignore").read_text()


def test_a_second_call_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_one_more_subject_computes_that_subject_alone(finished):
    finished.write(subjects=[*finished.config["subjects"], finished.subject("new")])
    try:
        jobs = finished.planned()
    finally:
        finished.write(subjects=finished.config["subjects"][:-1])
    assert jobs["infer_tiny"] == 5
    assert jobs["conform"] == 1
    assert jobs["uncertainty_tiny"] == 1
    assert "canary" not in jobs


def test_more_samples_add_the_missing_ones(finished):
    jobs = finished.planned("--config", "samples=5")
    assert jobs["infer_tiny"] == 2 * 2
    assert "conform" not in jobs
    assert "check_control_tiny" not in jobs


def test_a_repeated_sample_has_the_same_bits_on_one_core(finished, study):
    target = layout.RESULTS + "/control/tiny/sub-01_control.json"
    study.run(
        target, str(sample(study, "native", "002").relative_to(study.folder)), cores=1
    )
    again, first = (sample(s, "native", "002").read_bytes() for s in (study, finished))
    assert again == first


def test_paths_with_spaces_and_leading_zeros_survive(finished):
    assert (finished.folder / "my scans/0002.nii.gz").is_file()
    assert sample(finished, "native", "001", subject="0002").is_file()
