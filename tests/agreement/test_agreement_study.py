"""Bits by two instruments: numbers, words, picture, files."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from roundoff.agreement.compare import bits_of, noise, pair, summarise
from roundoff.agreement.report import summary, verdict
from roundoff.agreement.study import AgreementStudy
from roundoff.config import Config
from roundoff.errors import RoundoffError
from roundoff.figures.agreement import agreement

SHAPE = (9, 8, 7)


@pytest.fixture
def write(tmp_path):
    """Samples of a map with a relative spread; returns their paths."""

    def make(name, spread, samples=6, seed=0, zero=False):
        rng = np.random.default_rng(seed)
        centre = np.random.default_rng(99).uniform(1, 4, SHAPE)
        paths = []
        for i in range(samples):
            values = centre * (1 + spread * rng.standard_normal(SHAPE))
            if zero:
                values[0] = 0
            paths.append(tmp_path / f"{name}{i}.nii.gz")
            image = nib.Nifti1Image(values.astype(np.float32), np.eye(4))
            nib.save(image, paths[-1])
        return paths

    return make


def test_bits_are_minus_log2_of_the_relative_spread(write):
    paths = write("a", 2.0**-12)
    mask = np.zeros(SHAPE, bool)
    mask[2:5] = True
    bits, spread = bits_of(paths, mask)
    stack = np.stack([np.asarray(nib.load(p).dataobj) for p in paths]).astype(float)
    expected = -np.log2(stack.std(0, ddof=1) / np.abs(stack.mean(0)))
    # Slabs run along the last axis.
    order = np.concatenate([expected[:, :, k][mask[:, :, k]] for k in range(SHAPE[2])])
    assert np.allclose(np.sort(bits), np.sort(order))
    assert spread.shape == bits.shape
    assert bits.mean() == pytest.approx(12, abs=0.4)


def test_difference_and_ratio_of_known_spreads(write):
    """Twice the spread is one bit fewer, within what six samples allow."""
    mask = np.ones(SHAPE, bool)
    voxels = pair(write("n", 2.0**-13), write("v", 2.0**-12, seed=1), mask)
    row = summarise(voxels, 6)
    error = 4 * noise(6) / np.sqrt(len(voxels))
    assert row["difference"] == pytest.approx(1.0, abs=error)
    assert row["std_ratio"] == pytest.approx(2.0, rel=0.15)
    assert voxels["difference"].std() == pytest.approx(noise(6), rel=0.25)
    assert verdict(row["difference"]) == "differ by more than 0.3"


def test_voxels_without_a_number_are_left_out(write):
    paths = write("z", 2.0**-12, zero=True)
    voxels = pair(paths, paths, np.ones(SHAPE, bool))
    assert len(voxels) == 8 * 8 * 7
    assert (voxels["difference"] == 0).all()


def test_identical_samples_have_all_bits(write):
    voxels = pair(write("i", 0.0), write("v", 2.0**-12), np.ones(SHAPE, bool))
    assert (voxels["native"] == 24).all()
    assert summarise(voxels, 6)["identical_native"] == 1


def row(**changes):
    return {
        "model": "Net", "part": "1 of 128 slices per direction", "subject": "01",
        "map": "logit", "voxels": 1234567, "native": 18.1, "verrou": 18.0,
        "difference": 0.1, "median": 0.09, "std_ratio": 1.05, "noise": 0.65,
    } | changes  # fmt: skip


def test_summary_in_words():
    settings = {"samples": 6, "mode": "random"}
    text = summary(pd.DataFrame([row(), row(difference=-0.5)]), settings)
    assert "1 234 567" in text
    assert "agree within 0.3" in text
    assert "differ by more than 0.3" in text
    assert "1 of 128 slices" in text


def test_without_verrou_it_says_how_to_get_it():
    text = summary(pd.DataFrame(), {"samples": 6, "mode": "random"}, "no Valgrind")
    assert "Skipped" in text
    assert "> no Valgrind" in text


def test_the_picture_is_drawn(write, tmp_path):
    voxels = pair(
        write("n", 2.0**-13), write("v", 2.0**-13, seed=1), np.ones(SHAPE, bool)
    )
    path = tmp_path / "a.png"
    agreement(path, {"logit": voxels, "margin": voxels}, "Title", ["line"], noise(6))
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_files_and_settings_of_the_study(monkeypatch):
    config = Config(agreement={"models": ["deepbrain"], "samples": 2})
    study = AgreementStudy(config, "01")
    assert study.models["deepbrain"].options["slab"] == 8
    wildcards = {"subject": "01", "instrument": "native", "sample": "002"}
    assert study.settings(wildcards) == '{"mode": "random", "order": "verrou"}'
    other = wildcards | {"instrument": "verrou"}
    seeds = {study.seed(w, "deepbrain") for w in (wildcards, other)}
    assert len(seeds) == 2
    outputs = study.outputs(wildcards, "deepbrain")
    assert (
        "--output labels=results/agreement/samples/deepbrain/sub-01_native_002"
        in (outputs[-1].rsplit("/", 1)[0])
    )
    assert len(study.samples(wildcards, "deepbrain")) == 4
    monkeypatch.setattr(study, "missing", lambda: "not here")
    assert study.results() == []


def test_verrou_of_an_image_is_not_looked_for_on_the_host(monkeypatch):
    def nowhere(*place):
        raise RoundoffError("not here")

    monkeypatch.setattr("roundoff.agreement.study.find_valgrind", nowhere)
    config = Config(agreement={"models": ["deepbrain"]})
    assert AgreementStudy(config, "01").missing() == "not here"
    assert AgreementStudy(config, "01", "docker").missing() == ""


def test_an_unknown_model_is_named():
    with pytest.raises(RoundoffError, match=r"agreement\.models: .*Did you mean"):
        AgreementStudy(Config(agreement={"models": ["deepbrian"]}), "01")
