"""The forward pass of FastSurfer, against its description written out longhand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from roundoff.models.fastsurfer.blocks import CompetitiveBlock, Decoder, Encoder
from roundoff.models.fastsurfer.network import FastSurferCNN, FastSurferVINN
from roundoff.models.fastsurfer.zoom import zoom2d


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def lively(module):
    """Norms and activations that do something, in inference mode."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            part.weight.uniform_(0.5, 1.5)
            part.bias.uniform_(-0.5, 0.5)
        if isinstance(part, torch.nn.PReLU):
            part.weight.fill_(0.1)
    return module.eval()


def test_dense_block_competes_before_the_activation():
    block = lively(CompetitiveBlock(4, 4, (3, 3, 3, 3)))
    x = torch.randn(2, 4, 9, 11)
    m1 = torch.maximum(x, block.bn1(block.conv0(block.prelu(x))))
    m2 = torch.maximum(m1, block.bn2(block.conv1(block.prelu(m1))))
    m3 = torch.maximum(m2, block.bn3(block.conv2(block.prelu(m2))))
    assert torch.equal(block(x), block.bn4(block.conv3(block.prelu(m3))))


def test_input_block_starts_with_a_norm_and_skips_the_first_maximum():
    block = lively(
        CompetitiveBlock(7, 4, (3,) * 4, norm="gn", entry_norm=True, first_maxout=False)
    )
    x = torch.randn(1, 7, 8, 10)
    a = block.gn1(block.conv0(block.bn0(x)))
    b = torch.maximum(block.gn2(block.conv1(block.prelu(a))), a)
    c = torch.maximum(block.gn3(block.conv2(block.prelu(b))), b)
    assert torch.equal(block(x), block.gn4(block.conv3(block.prelu(c))))


def test_a_block_has_one_activation_and_one_scalar_parameter():
    block = CompetitiveBlock(4, 4, (3,) * 4)
    activations = [m for m in block.modules() if isinstance(m, torch.nn.PReLU)]
    assert [m.weight.numel() for m in activations] == [1]


def test_decoder_fuses_the_unpooled_image_with_the_skip_by_maximum():
    encoder, decoder = lively(Encoder(4, 4, (3,) * 4)), lively(Decoder(4, 4, (3,) * 4))
    pooled, skip, indices = encoder(torch.randn(1, 4, 13, 10))
    assert pooled.shape == (1, 4, 6, 5)
    assert torch.equal(pooled, F.max_pool2d(skip, 2))
    unpooled = F.max_unpool2d(pooled, indices, 2, output_size=skip.shape)
    expected = CompetitiveBlock.forward(decoder, torch.maximum(unpooled, skip))
    assert torch.equal(decoder(pooled, skip, indices), expected)


def test_network_runs_in_the_order_described():
    net = lively(FastSurferVINN(5, num_filters=6, num_filters_interpol=4))
    x = torch.rand(2, 7, 32, 48)
    skip0 = net.inp_block(x)
    x1, s1, i1 = net.encode1(skip0)
    x2, s2, i2 = net.encode2(x1)
    x3, s3, i3 = net.encode3(x2)
    x4, s4, i4 = net.encode4(x3)
    y = net.decode4(net.bottleneck(x4), s4, i4)
    y = net.decode1(net.decode2(net.decode3(y, s3, i3), s2, i2), s1, i1)
    logits = net.classifier(net.outp_block(torch.cat([y, skip0], 1)))
    assert torch.equal(net(x), logits)
    assert torch.equal(net(x, 1.0), logits)
    assert torch.equal(net(x, torch.ones(2, 2)), logits)


def test_other_voxel_sizes_pass_through_the_network_resolution():
    net = lively(FastSurferVINN(5, num_filters=6, num_filters_interpol=4))
    inner = []
    net.encode1.register_forward_pre_hook(lambda _, args: inner.append(args[0].shape))
    assert net(torch.rand(1, 7, 80, 64), 1 / 0.8).shape == (1, 5, 80, 64)
    assert inner == [(1, 4, 64, 64)]  # 80 x 0.8 = 64; 64 x 0.8 = 51.2, up to 64


def test_inner_size_of_the_official_networks_is_fixed():
    net = lively(
        FastSurferVINN(5, num_filters=6, num_filters_interpol=4, inner_size=64)
    )
    inner = []
    net.encode1.register_forward_pre_hook(lambda _, args: inner.append(args[0].shape))
    assert net(torch.rand(1, 7, 96, 96), 1 / 0.75).shape == (1, 5, 96, 96)
    assert inner == [(1, 4, 64, 64)]


def test_different_scales_in_one_batch_are_refused():
    net = FastSurferVINN(5, num_filters=6, num_filters_interpol=4)
    with pytest.raises(ValueError, match="must come from one volume"):
        net(torch.rand(2, 7, 32, 32), torch.tensor([1.0, 1.25]))


def test_version_1_refuses_other_voxel_sizes():
    with pytest.raises(ValueError, match="works at 1 mm only"):
        FastSurferCNN(num_filters=4)(torch.rand(1, 7, 32, 32), 0.8)


@pytest.mark.parametrize("kernel", [4, (3, 2, 3), (3,)])
def test_impossible_kernels_are_refused(kernel):
    with pytest.raises(ValueError, match="odd size"):
        FastSurferVINN(kernel=kernel)


@given(
    size=st.integers(20, 60),
    scale=st.floats(0.5, 2.0),
    target=st.sampled_from([32, 48, 64]),
)
@settings(max_examples=40, deadline=None)
def test_zoom_gives_the_target_size_and_undoes_itself(size, scale, target):
    x = torch.linspace(0, 1, size).expand(1, 2, size, size)
    zoomed, applied = zoom2d(x, (scale, scale), (target, target))
    assert zoomed.shape == (1, 2, target, target)
    # Whole pixels on both sides: the scale is the wanted one within a pixel.
    assert abs(applied[0] - scale) <= max(1 / target, scale / int(size / scale))
    covered = min(size, int(target * scale))
    inner = zoomed[0, 0, 0, : round(covered / applied[0])]
    expected = (torch.arange(len(inner)) + 0.5) * applied[0] - 0.5
    expected = expected.clamp(0, covered - 1) / (size - 1)
    assert torch.allclose(inner, expected, atol=1e-5)
    assert not zoomed[0, 0, :, len(inner) :].any()


def test_zoom_at_scale_1_is_the_same_tensor():
    x = torch.rand(1, 2, 32, 40)
    assert zoom2d(x, (1.0, 1.0), (32, 40))[0] is x
