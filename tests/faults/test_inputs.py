"""Scans and settings that are damaged or wrong are refused, by name."""

import os

import nibabel as nib
import numpy as np
import pytest

from faults_support import (
    CONFORMED,
    SUMMARY,
    forget,
    line_with,
    refused_at_once,
    sample,
)

# One worker runs them all: they share the undisturbed study.
NOTHING_RAN = "refused before anything runs"


@pytest.mark.parametrize(
    ("fault", "left"),
    [("input cut in half", 0.5), ("input 8 bytes short", None), ("empty input", 0)],
)
def test_truncated_input(study, drill, fault, left):
    path = study.folder / "my scans/01.nii.gz"
    content = path.read_bytes()
    path.write_bytes(content[: -8 if left is None else int(left * len(content))])
    seen = refused_at_once(study, "subjects[01].path")
    assert "01.nii.gz" in seen
    drill(fault, seen, NOTHING_RAN)


def test_one_flipped_bit_in_an_input(study, drill):
    path = study.folder / "my scans/0002.nii.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    drill(
        "one bit of an input flipped",
        refused_at_once(study, "0002.nii.gz"),
        NOTHING_RAN,
    )


def test_nan_in_an_input(study, drill):
    path = study.folder / "my scans/01.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj, np.float32).copy()
    values[3, 3, 3] = np.nan
    nib.save(nib.Nifti1Image(values, image.affine), path)
    seen = refused_at_once(study, "NaN or infinite")
    drill("NaN in an input", seen, NOTHING_RAN)


def of_subject(study, subject: str) -> dict[str, str]:
    """Checksums of the results of one subject."""
    return {k: v for k, v in study.checksums().items() if f"sub-{subject}" in k}


@pytest.mark.slow
def test_a_skipped_scan_leaves_the_others_complete(study, short_finished, drill):
    path = study.folder / "my scans/01.nii.gz"
    sound = path.read_bytes()
    path.write_bytes(sound[:-100])
    study.write(bad_scans="skip", samples=2)
    done = study.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "error: subjects[01]")
    status = study.status()
    others = status[status["subject"] == "0002"]
    assert list(others["done"]) == [2, 2]
    assert set(others["aggregated"]) == {"done"}
    assert set(others["why"]) == {""}
    broken = status[status["subject"] == "01"]
    assert list(broken["done"]) == [0, 0]
    assert all("01.nii.gz is damaged" in why for why in broken["why"])
    page = (study.folder / "results/report_partial.html").read_text()
    assert "Incomplete:</b> 1" in page
    assert "sub-0002" in page
    assert "sub-01" not in page
    complete = of_subject(study, "0002")
    assert complete
    path.write_bytes(sound)
    study.run()
    assert of_subject(study, "0002") == complete
    assert of_subject(study, "01") == of_subject(short_finished, "01")
    assert not (study.folder / "results/report_partial.html").exists()
    drill(
        "one damaged scan of several (`bad_scans: skip`)",
        seen,
        "the others complete and reported, `results/status.tsv` names it; mended and "
        "run again: identical",
    )


def test_an_input_damaged_after_the_check(copied_short, drill):
    """Same size, same time: only the read in full before conforming can tell."""
    copied_short.run("--dry-run")  # which checks the scans and remembers it
    path = copied_short.folder / "my scans/01.nii.gz"
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    done = copied_short.run(
        "--forcerun", "conform", "--", CONFORMED.format("01"), check=False
    )
    assert done.returncode != 0
    assert not (copied_short.folder / CONFORMED.format("01")).exists()
    seen = line_with(done.stdout, "is damaged or truncated")
    drill("input damaged after it was checked", seen, "refused by the job; no output")


def test_wrong_checksum(study, drill):
    rows = study.config["subjects"]
    study.write(subjects=[rows[0] | {"sha256": "0" * 64}])
    done = study.run(CONFORMED.format("01"), check=False)
    assert done.returncode != 0
    assert not (study.folder / CONFORMED.format("01")).exists()
    seen = line_with(done.stdout, "subjects[01].sha256")
    drill("stated checksum does not match", seen, "refused by the job; no output")


def test_missing_weights(study, drill):
    model = study.config["custom_models"]["tiny"]
    weights = {"network": str(study.folder / "gone.pth")}
    study.write(custom_models={"tiny": model | {"weights": weights}})
    seen = refused_at_once(study, "tiny.weights.network: there is no file")
    drill("missing weights", seen, NOTHING_RAN)


def test_damaged_intermediate(copied_short, short_finished, drill):
    conformed = copied_short.folder / CONFORMED.format("01")
    state = conformed.stat()
    sound = conformed.read_bytes()
    conformed.write_bytes(sound[: len(sound) // 2])
    os.utime(conformed, ns=(state.st_atime_ns, state.st_mtime_ns))
    forget(copied_short, "001")
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "error: ")
    assert "desc-conformed_T1w.nii.gz" in seen
    conformed.unlink()
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill(
        "conformed scan cut in half", seen, "refused; deleted and run again: identical"
    )


def test_one_flipped_bit_in_a_sample(copied_short, short_finished, drill):
    path = copied_short.folder / sample("01", "native", "002")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "error: sample 2")
    path.unlink()
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill(
        "one bit of a sample flipped",
        seen,
        "refused before statistics; deleted and run again: identical",
    )


def test_a_sample_copied_over_another(copied_short, short_finished, drill):
    first, second = (
        copied_short.folder / sample("01", "native", run) for run in ("001", "002")
    )
    second.write_bytes(first.read_bytes())
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "SHA-256 differs from its sidecar")
    second.unlink()
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill(
        "a sample copied over another",
        seen,
        "refused before statistics; deleted and run again: identical",
    )


def test_a_sidecar_copied_over_another(copied_short, short_finished, drill):
    first, second = (
        copied_short.folder / sample("01", "native", run).replace(".nii.gz", ".json")
        for run in ("001", "002")
    )
    second.write_bytes(first.read_bytes())
    (copied_short.folder / SUMMARY.format("01")).unlink()
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "two samples have the same seed")
    forget(copied_short, "001", "002")
    first.unlink()
    second.unlink()
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill(
        "two samples with one seed", seen, "refused; deleted and run again: identical"
    )
