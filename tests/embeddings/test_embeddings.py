"""Digits fall where max-unpooling meets constant background, weights or no weights."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from roundoff.embeddings.capture import capture_samples
from roundoff.embeddings.measure import digit_maps, shrink, zone_table, zones
from roundoff.embeddings.slices import choose_slice, plane, slice_inputs
from roundoff.errors import RoundoffError
from roundoff.figures.embeddings import montage, zone_profile
from roundoff.images.mask import head_mask
from roundoff.instruments import get_instrument
from roundoff.models.fastsurfer.network import FastSurferVINN
from tests_support import phantom


@pytest.fixture(scope="module")
def head():
    values = phantom((64, 64, 64)).astype(float)
    return np.clip(values / 2.4, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def captured(head):
    torch.manual_seed(3)
    network = FastSurferVINN(num_classes=5, num_filters=8, num_filters_interpol=4)
    inputs = slice_inputs(network.eval(), head, "coronal", 32, 1.0)
    native = get_instrument("native")
    return capture_samples(network, inputs, native, seeds=range(1, 7))


def test_every_block_is_captured_in_the_order_it_ran(captured):
    assert list(captured) == [
        "inp_block", "encode1", "encode2", "encode3", "encode4", "bottleneck",
        "decode4", "decode3", "decode2", "decode1", "outp_block", "classifier",
    ]  # fmt: skip
    assert captured["encode2"].shape == (6, 8, 16, 16)
    assert captured["classifier"].shape == (6, 5, 64, 64)
    assert (captured["encode1"][0] != captured["encode1"][1]).any()


def test_digits_fall_after_unpooling_in_constant_background(head, captured):
    image = plane(head, "coronal", 32)
    inside = plane(head_mask(head), "coronal", 32)
    masks = zones(image, inside, inside)
    table = zone_table(digit_maps(captured), masks).set_index(["zone", "block"])
    background, brain = table.loc["constant background"], table.loc["brain"]
    before = ["inp_block", "encode1", "encode2", "encode3", "decode4", "decode3"]
    assert background.loc[before, "p5"].min() > 4
    # Where four equal values were pooled, a coin chose the place of the unpooled one.
    assert background.loc["decode1", "p5"] < 2
    assert background.loc["outp_block", "p50"] < background.loc["encode1", "p50"] - 1.5
    assert brain.loc["outp_block", "p50"] > 4


def test_zones_are_whole_patches():
    mask = np.ones((8, 8), bool)
    mask[0, 0] = False
    small = shrink(mask, (4, 4))
    assert small.shape == (4, 4)
    assert small.sum() == 15


def test_undefined_channels_do_not_count():
    samples = np.zeros((3, 2, 1, 2), np.float32)
    samples[:, 0, 0, 0] = 1
    digits = digit_maps({"b": samples})["b"]
    assert digits[0, 0] == pytest.approx(23 * np.log10(2), rel=1e-6)
    assert np.isnan(digits[0, 1])


def test_first_output_of_a_block_is_kept():
    class Two(nn.Module):
        def forward(self, x):
            return x / 3, x * 2

    class Wrap(nn.Module):
        def __init__(self):
            super().__init__()
            self.two = Two()

        def forward(self, x):
            return self.two(x)[0]

    got = capture_samples(Wrap(), [torch.ones(1, 1, 2, 2)], get_instrument("ieee"), [1])
    assert got["two"] == pytest.approx(1 / 3)


def test_slice_choice(head):
    brain = np.zeros((5, 6, 7), bool)
    brain[:, 4] = True
    assert choose_slice(brain, "axial") == 4  # axial slices run along the second axis
    with pytest.raises(RoundoffError, match="0 to 5"):
        choose_slice(brain, "axial", 6)


def test_pictures(head, captured, tmp_path):
    maps = digit_maps(captured)
    montage(tmp_path / "m.png", plane(head, "coronal", 32), maps, "Digits", ["a", "b"])
    inside = plane(head_mask(head), "coronal", 32)
    table = zone_table(maps, zones(plane(head, "coronal", 32), inside, inside))
    assert isinstance(table, pd.DataFrame)
    zone_profile(tmp_path / "p.png", table, "Where the digits are lost", ["a", "b"])
    for name in ("m.png", "p.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
