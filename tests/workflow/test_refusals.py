"""Bad input is refused before anything is computed, in words a user can act on."""

import json
import time

import numpy as np
import pytest

# One worker runs them all: they share the undisturbed study.


def refused(study, *words, arguments=()):
    start = time.monotonic()
    done = study.run(*arguments, check=False)
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout, done.stdout
    assert not (study.folder / "results").exists()
    return time.monotonic() - start


def test_unknown_model(study):
    study.write(models=["tinny"])
    refused(study, "models[0]", "tinny", "Did you mean 'tiny'")


def test_one_sample(study):
    refused(study, "samples", "at least 2", arguments=["--config", "samples=1"])


def test_identifier_without_its_zeros(study):
    text = (study.folder / "config.yaml").read_text()
    text = text.replace("id: '0002'", "id: 0002")
    (study.folder / "config.yaml").write_text(text)
    refused(study, "subjects[1].id", "2 is a number", "Quote it")


def test_missing_scan(study):
    (study.folder / "my scans/01.nii.gz").unlink()
    refused(study, "subjects[01].path", "no file", "01.nii.gz")


def test_truncated_scan(study):
    path = study.folder / "my scans/0002.nii.gz"
    path.write_bytes(path.read_bytes()[:-8])
    refused(study, "subjects[0002].path", "truncated", "0002.nii.gz")


def test_wrong_checksum_stops_that_subject(study):
    rows = study.config["subjects"]
    study.write(subjects=[rows[0] | {"sha256": "0" * 64}])
    target = "results/conformed/sub-01/anat/sub-01_res-6mm32_desc-conformed_T1w.nii.gz"
    done = study.run(target, check=False)
    assert done.returncode != 0
    assert "subjects[01].sha256" in done.stdout
    assert not (study.folder / target).exists()


def test_a_control_that_varies_fails_with_the_reason(finished, tmp_path):
    from roundoff.errors import RoundoffError
    from roundoff.instruments.control import compare_controls

    anat = finished.folder / "results/tiny/sub-01/anat"
    record = json.loads(
        (anat / "sub-01_rec-ieee_run-001_stat-logit_statmap.json").read_text()
    )
    paths = []
    for i, value in enumerate(("a" * 64, "b" * 64)):
        paths.append(tmp_path / f"{i}.json")
        record["OutputSha256"]["map_logit"] = value
        paths[-1].write_text(json.dumps(record))
    with pytest.raises(RoundoffError, match=r"map_logit .* differ .* nothing was"):
        compare_controls(paths)


def test_two_runs_at_once(study):
    from roundoff.lock import single_run

    (study.folder / ".snakemake").mkdir()
    single_run(study.folder / ".snakemake/roundoff.lock")
    refused(study, "another run is at work")


def test_nan_in_the_scan(study):
    import nibabel as nib

    path = study.folder / "my scans/01.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).astype(np.float32)
    values[3, 3, 3] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), path)
    refused(study, "subjects[01].path", "1 NaN or infinite")
