"""Every official variant has the tensor names, shapes and counts of the reference."""

import json

import pytest
import torch

from roundoff.models.fastsurfer.network import FastSurferCNN, FastSurferVINN
from roundoff.models.fondue.network import FondueLT
from roundoff.models.synthmorph.network import VelocityUNet


def synthmorph(features, final):
    return VelocityUNet([features] * 4, [features] * 4, [features] * final)


OFFICIAL = {
    "FastSurferVINN_axial_coronal": (lambda: FastSurferVINN(79), 1_854_632),
    "FastSurferVINN_sagittal": (lambda: FastSurferVINN(51), 1_852_616),
    "FastSurferCNN_v1_class": (lambda: FastSurferCNN(79), 3_607_270),
    "FONDUE_LT": (FondueLT, 3_069_548),
    "SynthMorph_64f_dec6": (lambda: synthmorph(64, 2), 1_336_387),
    "SynthMorph_256f_dec6": (lambda: synthmorph(256, 2), 21_270_787),
    "SynthMorph_256f_dec8": (lambda: synthmorph(256, 4), 24_810_243),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_shapes_and_counts(name, reference):
    expected = json.loads((reference / "model_shapes.json").read_text())["models"][name]
    build, parameters = OFFICIAL[name]
    with torch.device("meta"):
        network = build()
    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert found == expected["tensors"]
    count = sum(value.numel() for value in network.parameters())
    assert count == expected["parameters"] == parameters


def test_first_release_of_version_1_ends_its_blocks_with_a_1x1_convolution():
    network = FastSurferCNN(kernel=(5, 5, 1)).eval()
    assert network.encode2.conv2.weight.shape == (64, 64, 1, 1)
    assert not hasattr(network.encode2, "conv3")
    with torch.inference_mode():
        assert network(torch.rand(1, 7, 32, 32)).shape == (1, 79, 32, 32)
