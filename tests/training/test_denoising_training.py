"""Training of the demo denoiser: noise, patches, loop, quality."""

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roundoff.models.base import Grid, Prediction
from roundoff.models.checkpoints import load_metadata
from roundoff.models.fondue.pipeline import build
from roundoff.rounding import RandomRounding
from roundoff.training.denoising import quality, volumes
from roundoff.training.denoising.batches import Batches
from roundoff.training.denoising.loop import Recipe, train
from roundoff.training.denoising.noise import add_noise, scale_pair
from roundoff.training.denoising.weights import save_weights


@pytest.fixture(scope="module")
def heads():
    axes = np.meshgrid(*[np.linspace(-1, 1, 48)] * 3, indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    return [(200 * (radius < 0.8) - 80 * (radius < 0.4)).astype(np.float32)]


@pytest.fixture(scope="module")
def drawn(heads):
    return volumes.draw_volumes(heads, 2, seed=3, grid=Grid(1.5, (32, 32, 32)))


def small(drawn, **options):
    return Batches(drawn, patch=32, channels=3, **options)


@given(st.floats(0, 9), st.integers(0, 99))
def test_noise_has_its_standard_deviation_and_scaling_keeps_the_difference(sd, seed):
    clean = np.full((20, 20, 20), 100, np.uint8)
    noisy = add_noise(clean, sd, np.random.default_rng(seed))
    assert np.std(noisy - 100) == pytest.approx(sd, rel=0.05, abs=1e-4)
    scaled, scaled_noisy = scale_pair(clean, noisy, sd, clean.size)
    factor = np.std(scaled_noisy - scaled) / max(np.std(noisy - 100.0), 1e-9)
    assert sd < 0.01 or 1 / 400 < factor <= 1.01 / 255
    assert 0 < scaled.min() <= scaled.max() < 1


def test_volumes_are_a_function_of_seed_and_number(heads, drawn):
    grid = Grid(1.5, (32, 32, 32))
    again = volumes.draw_volume(heads, 1, 3, grid)
    assert np.array_equal(again, drawn[1])
    assert not np.array_equal(volumes.draw_volume(heads, 1, 4, grid), drawn[1])
    assert drawn.dtype == np.uint8
    assert drawn.max() > 60


def test_batches_hold_the_clean_middle_slice(drawn):
    noisy, clean = small(drawn, size=3, seed=1).draw(7)
    assert noisy.shape == (3, 3, 32, 32)
    assert clean.shape == (3, 1, 32, 32)
    difference = noisy[:, 1] - clean[:, 0]
    assert 0 < difference.std() < 9.5 / 255
    assert abs(difference.mean()) < 0.005
    assert torch.equal(noisy, small(drawn, size=3, seed=1).draw(7)[0])


def test_training_learns_and_its_weights_load_and_round(drawn, tmp_path):
    recipe = Recipe(filters=3, steps=40, log_every=10, save_every=20, seed=1)
    saved = []
    network = train(small(drawn), recipe, save=saved.append, log=tmp_path / "log.csv")
    table = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert list(table["step"]) == [10, 20, 30, 40]
    assert table["psnr_db"][-1] > table["psnr_db"][0] + 3
    assert len(saved) == 2

    path = tmp_path / "fondue.safetensors"
    save_weights(network, path, {"steps": 40})
    assert "not for clinical" in load_metadata(path)["model"]
    model = build(
        {"network": path},
        stacking="neighbours",
        directions=["first"],
        base_resolution=2.0,
    )
    for key, value in network.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[key])
    volume = drawn[0, 14:16, :16, :16]
    with torch.inference_mode(), RandomRounding(seed=1, strict=True) as rounding:
        found = model.predict(volume, 2.0).maps["denoised"]
    assert rounding.coverage.as_dict()["fraction_perturbed"] == 1.0
    assert np.isfinite(found).all()


def test_same_seed_same_weights(drawn):
    recipe = Recipe(filters=2, steps=3)
    one, two = (train(small(drawn), recipe).state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_psnr_of_a_known_error():
    clean = np.zeros((4, 4))
    assert quality.psnr(clean + 255, clean) == pytest.approx(0)
    assert quality.psnr(clean + 25.5, clean) == pytest.approx(20)
    assert quality.psnr(clean, clean) == float("inf")


class Perfect:
    """Knows the scan: the quality of its output must be beyond any filter's."""

    def __init__(self, clean):
        self.clean = clean

    def predict(self, volume, voxel_size):
        low, high = float(volume.min()), float(volume.max())
        return Prediction({"denoised": (self.clean - low) / (high - low) * 255})


def test_quality_compares_noisy_filtered_and_denoised(heads, tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "GRID", Grid(1.0, (48, 48, 48)))
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(heads[0].astype(np.uint8), np.eye(4)), path)
    clean = quality.conform(nib.load(path), quality.GRID)
    model = Perfect(np.asarray(clean.dataobj, np.float32))
    rows = list(quality.compare(model, path, [9.0]))
    assert [r.region for r in rows] == ["volume", "head"]
    for row in rows:
        assert row.noisy == pytest.approx(20 * np.log10(255 / 9), abs=0.1)
        assert row.noisy < row.gaussian < row.network
        assert len(row.cells()) == len(quality.HEADER)
