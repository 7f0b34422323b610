"""Every model runs under random rounding with nothing left unperturbed."""

import numpy as np
import pytest
import torch
from frozen_graphs import write_graph
from random_weights import randomised

from roundoff.models.deepbrain.pipeline import build as build_deepbrain
from roundoff.models.fastsurfer.pipeline import build as build_fastsurfer
from roundoff.models.fondue.network import FondueLT
from roundoff.models.fondue.pipeline import Denoiser
from roundoff.models.synthmorph import prepare
from roundoff.models.synthmorph.network import Registration, VelocityUNet
from roundoff.models.synthmorph.pipeline import BrainRegistration
from roundoff.models.synthmorph.prepare import Template
from roundoff.rounding import RandomRounding

BOX = (16, 16, 16)


@pytest.fixture
def models(vinn_files, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "BOX", BOX)
    write_graph(tmp_path / "graph.pb")
    unet = randomised(VelocityUNet((2,) * 4, (2,) * 4, (2,)))
    template = Template(np.random.default_rng(1).random(BOX, dtype=np.float32))
    return {
        "fastsurfer": lambda: build_fastsurfer(vinn_files, slices=8, batch_size=2),
        "deepbrain": lambda: build_deepbrain({"network": tmp_path / "graph.pb"}),
        "fondue": lambda: Denoiser(
            randomised(FondueLT(2)), directions=["first"], batch_size=16
        ),
        "registration": lambda: BrainRegistration(Registration(unet), template),
    }


@pytest.mark.parametrize("name", ["fastsurfer", "deepbrain", "fondue", "registration"])
def test_every_operation_is_covered_and_seeds_decide(models, name):
    volume = np.random.default_rng(0).integers(0, 256, (16, 16, 16)).astype(np.uint8)
    model = models[name]()

    def sample(seed):
        with torch.inference_mode(), RandomRounding(seed=seed, strict=True) as rounding:
            prediction = model.predict(volume, 1.0)
        assert rounding.coverage.as_dict()["fraction_perturbed"] == 1.0
        assert rounding.coverage.operations > 1000
        return np.concatenate([m.ravel() for m in prediction.maps.values()])

    first, again, other = sample(1), sample(1), sample(2)
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)
