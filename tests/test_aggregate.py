"""Samples are checked against each other before anything is computed from them."""

import json

import numpy as np
import pytest

from roundoff import aggregate
from roundoff.errors import RoundoffError
from roundoff.images.save import save_labels, save_map, save_sidecar
from roundoff.models.base import MapSpec
from roundoff.uncertainty.significant_bits import BitsSettings, State


def record(seed):
    return {
        "Subject": "01", "Model": "m", "WeightsKind": "w", "Weights": {"a": "b"},
        "ModelOptions": {}, "Instrument": {"name": "native"}, "Seed": seed,
        "InputSha256": "c", "Versions": {"torch": "2"}, "Container": "none",
        "Threads": 1, "Precision": {}, "Evidence": {"perturbed_operations": 10 * seed},
    }  # fmt: skip


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, (7, 8, 9)).astype(np.float32)
    base[:2] = 0
    paths = []
    for i in range(4):
        noisy = base * (1 + 2.0**-12 * rng.uniform(-1, 1, base.shape))
        paths.append(tmp_path / f"{i}.nii.gz")
        save_map(paths[-1], noisy, np.eye(4))
        save_sidecar(paths[-1], record(i + 1))
    return paths


def test_bits_of_files(samples):
    mask = np.ones((7, 8, 9), bool)
    mask[:, 0] = False
    spec = MapSpec("x", "x")
    bits = aggregate.measure_map(samples, spec, mask, BitsSettings())
    assert bits.general.shape == (7, 8, 9)
    assert (bits.state[:, 0] == State.MASKED).all()
    assert (bits.state[:2, 1:] == State.UNDEFINED).all()
    assert 11 <= bits.general[2:, 1:].min() <= bits.general[2:, 1:].max() <= 16


def test_slabs_change_nothing(samples, monkeypatch):
    mask = np.ones((7, 8, 9), bool)
    whole = aggregate.measure_map(samples, MapSpec("x", "x"), mask, BitsSettings())
    read = aggregate.SampleStack
    monkeypatch.setattr(aggregate, "SampleStack", lambda paths: read(paths, budget=1))
    thin = aggregate.measure_map(samples, MapSpec("x", "x"), mask, BitsSettings())
    assert np.array_equal(whole.general, thin.general, equal_nan=True)
    assert np.array_equal(whole.state, thin.state)


def test_labels_of_files(tmp_path):
    labels = np.zeros((4, 5, 6, 7), int)
    labels[:, 1:4, 1:4, 1:4] = 17
    labels[0, 4, 2, 2] = 17
    paths = [tmp_path / f"{i}.nii.gz" for i in range(4)]
    for path, values in zip(paths, labels, strict=True):
        save_labels(path, values, np.diag([2.0, 2.0, 2.0, 1.0]))
    found = aggregate.measure_labels(paths, {17: "hippocampus"})
    row = found.regions.set_index("region").loc["hippocampus"]
    assert row["min_dice"] == pytest.approx(2 * 27 / 55)
    assert row["mean_mm3"] == pytest.approx(8 * (28 + 3 * 27) / 4)
    assert np.count_nonzero(found.entropy) == 1
    assert found.entropy[4, 2, 2] == pytest.approx(
        -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    )


@pytest.mark.parametrize("key", ["Seed", "InputSha256", "Instrument", "Weights"])
def test_samples_of_different_experiments_are_refused(samples, key):
    sidecar = samples[2].with_name("2.json")
    content = json.loads(sidecar.read_text())
    content[key] = 1 if key == "Seed" else "another"
    sidecar.write_text(json.dumps(content))
    with pytest.raises(RoundoffError, match=r"same seed|2\.nii\.gz.*" + key):
        aggregate.check_samples(samples)


def test_a_sample_without_a_readable_sidecar_is_refused(samples):
    for content in ("{", None):
        sidecar = samples[1].with_name("1.json")
        sidecar.write_text(content) if content else sidecar.unlink()
        with pytest.raises(RoundoffError, match=r"1\.json: cannot be read.*Delete"):
            aggregate.check_samples(samples)


def test_summary_counts_and_names(samples):
    records = aggregate.check_samples(samples)
    summary = aggregate.summary_record(records, 0.95)
    assert summary["Samples"] == 4
    assert summary["Seeds"] == [1, 2, 3, 4]
    assert summary["PerturbedOperations"] == 25
    assert "N = 4" in summary["Confidence"]
