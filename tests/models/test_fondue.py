"""FONDUE_LT: against its node equations written out with stacks and maxima."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_weights import randomised
from torch.nn import functional as F

from roundoff.errors import RoundoffError
from roundoff.models.fondue.network import Block, FondueLT, inner_size
from roundoff.models.fondue.pipeline import ORDERS, build, stack


@pytest.fixture(scope="module")
def network():
    return small()


def small(**options):
    network = randomised(FondueLT(4, **options))
    for name, value in network.named_parameters():
        if name.startswith(("alpha", "lambda")):
            value.data.add_(1.0)
        elif name.startswith("final"):
            value.data.mul_(0.1)
    return network


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("fondue") / "FONDUE_LT.pt"
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


def longhand(net, x, zoom, heads):
    """All 28 nodes by their definition."""
    native, inner = x.shape[2:], [inner_size(n, zoom) for n in x.shape[2:]]

    def resize(value, size):
        return F.interpolate(value, tuple(size), mode="bilinear")

    node, places = {(0, 0): net.conv0_0(x)}, {}
    node[1, 0] = net.conv1_0(resize(node[0, 0], inner))
    for i in range(1, 6):
        pooled, places[i] = F.max_pool2d(
            node[i, 0], 2, ceil_mode=True, return_indices=True
        )
        node[i + 1, 0] = getattr(net, f"conv{i + 1}_0")(pooled)
    for j in range(1, 7):
        for i in range(7 - j):
            below = node[i + 1, j - 1]
            if i == 0:
                below = resize(below, native)
            else:
                size = node[i, 0].shape
                below = F.max_unpool2d(below, places[i], 2, output_size=size)
            level = [node[i, k] for k in range(j)]
            fused = torch.stack([*level, below]).amax(0)
            node[i, j] = getattr(net, f"conv{i}_{j}")(fused)
    shares = [getattr(net, f"alpha_{k}") for k in range(1, 7)]
    estimates = [
        share * getattr(net, f"final{head}")(node[0, k])
        for k, (share, head) in enumerate(zip(shares, heads, strict=True), 1)
    ]
    return (x[:, 3:4] - sum(estimates) / sum(shares)).clamp(0, 1)


@pytest.mark.parametrize("zoom", [1.0, 0.7])
def test_network_is_its_node_equations(network, zoom):
    x = torch.rand(2, 7, 40, 52)
    with torch.inference_mode():
        found = network(x, zoom)
        expected = longhand(network, x, zoom, [1, 2, 3, 4, 4, 4])
    assert found.shape == (2, 1, 40, 52)
    assert torch.equal(found, expected)
    assert 0 < found.mean() < 1


def test_own_heads_are_an_option():
    own, x = small(reuse_final4=False), torch.rand(1, 7, 40, 40)
    with torch.inference_mode():
        assert torch.equal(own(x), longhand(own, x, 1.0, [1, 2, 3, 4, 5, 6]))
        assert not torch.equal(own(x), small()(x))


def test_blocks_follow_their_description():
    x = torch.randn(1, 4, 9, 9)
    with torch.inference_mode():
        block = randomised(Block(4, 4))
        m1 = torch.maximum(block.conv1(block.relu1(x)), x)
        m2 = torch.maximum(block.conv2(block.relu1(m1)), m1)
        assert torch.equal(block(x), block.conv3(block.relu1(m2)))
        block = randomised(Block(7, 4, is_input=True))
        x = torch.randn(1, 7, 9, 9)
        a = block.relu1(block.conv1(x))
        m = torch.maximum(block.conv2(a), a)
        assert torch.equal(block(x), block.conv3(block.relu1(m)))


@pytest.mark.parametrize(
    ("pixels", "zoom", "size"), [(256, 1.0, 288), (320, 0.8, 288), (181, 1.0, 224)]
)
def test_inner_size(pixels, zoom, size):
    assert inner_size(pixels, zoom) == size


@given(st.integers(1, 512), st.floats(0.3, 3.0))
def test_inner_size_fits_five_poolings_and_holds_the_slice(pixels, zoom):
    size = inner_size(pixels, zoom)
    assert size % 32 == 0
    assert size + 1e-6 >= pixels * zoom + 16 - 0.1


def test_released_channels_are_in_plane_shifts():
    volume = torch.rand(3, 4, 9)
    slices = stack(volume, torch.arange(1, 3), 7, "released")
    assert slices.shape == (2, 7, 4, 9)
    padded = np.pad(volume.numpy(), ((0, 0), (0, 0), (3, 3)), mode="edge")
    for channel in range(7):
        assert np.array_equal(slices[:, channel], padded[1:3, :, channel : channel + 9])


def test_neighbouring_slices_are_an_option():
    volume = torch.rand(9, 4, 5)
    slices = stack(volume, torch.arange(9), 7, "neighbours")
    padded = np.pad(volume.numpy(), ((3, 3), (0, 0), (0, 0)), mode="edge")
    for channel in range(7):
        assert np.array_equal(slices[:, channel], padded[channel : channel + 9])


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(0).integers(3, 250, (10, 11, 12)).astype(np.float32)


def test_prediction_averages_three_directions(network, checkpoint, volume):
    found = build({"network": checkpoint}).predict(volume, 1.0).maps["denoised"]
    image = (volume.astype(np.float64) - volume.min()) / (volume.max() - volume.min())
    image = torch.from_numpy(image.astype(np.float32))
    total = torch.zeros_like(image)
    for order, back in (
        ((0, 1, 2), (0, 1, 2)),
        ((1, 2, 0), (2, 0, 1)),
        ((2, 0, 1), (1, 2, 0)),
    ):
        turned = image.permute(order)
        part = [
            network(stack(turned, torch.tensor([s]), 7, "released"), 1.0)[0, 0]
            for s in range(len(turned))
        ]
        total += torch.stack(part).permute(back)
    assert np.allclose(found, total.detach() / 3 * 255, atol=1e-3)
    assert found.dtype == np.float32


def test_intensities_come_back_as_asked(checkpoint, volume):
    unit = build({"network": checkpoint}, intensity="0-1").predict(volume, 1.0)
    own = build({"network": checkpoint}, intensity="original").predict(volume, 1.0)
    unit, own = unit.maps["denoised"], own.maps["denoised"]
    assert unit.min() >= 0
    assert unit.max() <= 1
    span = volume.max() - volume.min()
    assert np.allclose(own, unit * span + volume.min(), atol=1e-3)


def test_directions_can_be_left_out(checkpoint, volume):
    model = build({"network": checkpoint}, directions=["second"], batch_size=11)
    calls = []
    model.modules()["network"].register_forward_pre_hook(
        lambda _, args: calls.append(tuple(args[0].shape))
    )
    told = []
    model.predict(volume, 1.0, lambda f, w: told.append(f))
    assert calls == [(11, 7, 12, 10)]
    assert told == [0.0, 1.0]
    assert ORDERS["second"] == (1, 2, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stacking": "slices"}, "stacking is 'slices'"),
        ({"intensity": 0}, "intensity is 0"),
        ({"directions": []}, "directions is empty"),
        ({"directions": ["axial"]}, "directions is 'axial'"),
    ],
)
def test_wrong_options_are_named(checkpoint, options, message):
    with pytest.raises(RoundoffError, match=message):
        build({"network": checkpoint}, **options)


def test_some_slices_stand_for_their_neighbours(checkpoint, volume):
    weights = {"network": checkpoint}
    every = build(weights, directions=["first"], batch_size=1)
    third = build(weights, directions=["first"], batch_size=1, slices=3)
    whole, part = (m.predict(volume, 1.0).maps["denoised"] for m in (every, third))
    for start in range(0, len(volume), 3):
        stop = min(start + 3, len(volume))
        number = min(start + 1, stop - 1)
        assert (part[start:stop] == whole[number]).all()
    with pytest.raises(RoundoffError, match="slices is 0"):
        build(weights, slices=0)


def test_a_constant_volume_is_refused(checkpoint):
    with pytest.raises(RoundoffError, match=r"constant \(4"):
        build({"network": checkpoint}).predict(np.full((8, 8, 8), 4.0), 1.0)


def test_another_checkpoint_is_named(vinn_files):
    with pytest.raises(RoundoffError, match="no tensor 'conv0_0"):
        build({"network": vinn_files["axial"]})


def test_official_size_round_trip(tmp_path):
    network = randomised(FondueLT())
    torch.save({"state_dict": network.state_dict()}, tmp_path / "FONDUE_LT.pt")
    loaded = build({"network": tmp_path / "FONDUE_LT.pt"}).modules()["network"]
    expected = network.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in loaded.state_dict().items())
