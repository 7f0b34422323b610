"""Which path computes: the kernels step aside where they must not be used."""

import pytest
import torch
from torch.nn import functional as F

import roundoff.nan as rn
from roundoff import RandomRounding
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.nan import kernels
from roundoff.nan.carried import Carried
from roundoff.nan.skips import conv_shape, skip_mask

pytestmark = pytest.mark.filterwarnings("ignore:the compiled part")


@pytest.fixture
def no_kernels(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the compiled kernels were used")

    for name in ("Plan", "scan", "pool", "pack_weight", "leaky"):
        monkeypatch.setattr(kernels, name, refuse)


def head():
    x = torch.zeros(1, 3, 64, 64)
    x[:, :, 20:40, 24:40] = torch.rand(3, 20, 16, generator=torch.Generator())
    return x


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FastSurferVINN(5, 3, num_filters=6, num_filters_interpol=4).eval()


@torch.inference_mode()
def test_not_compiled_means_pytorch_only(network, no_kernels):
    made = rn.convert(network, "conservative", 0.5, compiled=False)
    made(head())
    assert made.counts()["decode1.conv1"].share > 0.5  # enough for the kernels


@torch.inference_mode()
def test_kernels_step_aside_under_random_rounding(network, no_kernels):
    made = rn.convert(network, "conservative", 0.5)
    logits = []
    for seed in (1, 2):
        with RandomRounding(mode="random", seed=seed) as rounding:
            logits.append(made(head()))
        assert rounding.coverage.operations > 0
    assert not torch.equal(*logits)


@torch.inference_mode()
def test_threshold_is_not_rounded_at_random():
    """3 of 10 is 0.3 whatever the rounding, and 0.1 + 0.2 is not."""
    shape = conv_shape(torch.zeros(1, 10, 1, 1), (1, 10, 1, 1), 1, 0, 1, 1)
    counts = torch.full((1, 1, 20, 20), 3.0)
    for threshold, skipped in ((0.3, True), (0.1 + 0.2, False)):
        with RandomRounding(mode="random", seed=1):
            mask = skip_mask(counts, shape, threshold)
        assert bool(mask.all()) is skipped
        assert bool(mask.any()) is skipped


@torch.inference_mode()
def test_a_resized_constant_stays_constant():
    """PyTorch's channels-last kernel would change it by an ulp or two."""
    if kernels.library() is None:
        pytest.skip("needs the compiled kernels")
    value = torch.randn(1, 8, 1, 1, generator=torch.Generator().manual_seed(1))
    x = Carried.of(kernels.channels_last(value.expand(1, 8, 64, 64)))
    got = F.interpolate(x, (80, 80), mode="bilinear", align_corners=False)
    assert isinstance(got, Carried)
    assert torch.equal(got.plain(), value.expand(1, 8, 80, 80))
