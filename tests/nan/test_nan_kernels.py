"""The compiled kernels against the plain functions and direct loops."""

import nan_oracles as oracle
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import roundoff.nan as rn
from roundoff.nan import kernels
from roundoff.nan.carried import Carried, plain
from roundoff.nan.engine import Pending
from roundoff.nan.layers import ConvertedConv2d, ConvertedConv3d, Settings
from roundoff.nan.skips import conv_shape
from roundoff.nan.ties import TieRule
from roundoff.nan.windows import pooling_windows

pytestmark = [
    pytest.mark.filterwarnings("ignore:the compiled part"),
    pytest.mark.skipif(kernels.library() is None, reason="kernels were not built"),
]
NAN = float("nan")
FEW = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=[1, 2], ids=["avx2", "avx512"])
def level(request):
    """One instruction set at a time; skips what this processor lacks."""
    if kernels.library().roundoff_limit_level(request.param) != request.param:
        kernels.library().roundoff_limit_level(2)
        pytest.skip("this processor has no such instructions")
    yield request.param
    kernels.library().roundoff_limit_level(2)


def blotched(rng, shape, share, whole):
    """NaN in whole pixels, or anywhere; some infinities are for others to test."""
    x = rng.standard_normal(shape).astype(np.float32)
    mask = rng.random((shape[0], 1, *shape[2:]) if whole else shape) < share
    return np.where(mask, np.float32(NAN), x)


@st.composite
def layers(draw):
    dims = draw(st.sampled_from([2, 2, 3]))
    pick = {
        name: tuple(draw(st.integers(low, high)) for _ in range(dims))
        for name, low, high in [
            ("kernel", 1, 3),
            ("stride", 1, 2),
            ("padding", 0, 2),
            ("dilation", 1, 2),
        ]
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.sampled_from([1, 3, 5, 16, 21]))
    outputs = draw(st.sampled_from([1, 7, 16, 33, 64, 71, 100]))
    plane = [
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 9 if dims == 2 else 4))
        for k, p, d in zip(
            pick["kernel"], pick["padding"], pick["dilation"], strict=True
        )
    ]
    share = draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
    x = blotched(
        rng, (draw(st.integers(1, 2)), channels, *plane), share, draw(st.booleans())
    )
    weight = rng.standard_normal((outputs, channels, *pick["kernel"]))
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    threshold = draw(st.sampled_from([0.25, 0.4, 0.5, 0.9, 1.0, 1.5]))
    return (
        dims,
        x,
        weight,
        bias,
        pick,
        threshold,
        draw(st.sampled_from(["mean", "zero"])),
    )


def run(x, weight, bias, where, threshold, fill, **more):
    """Output with every NaN in place, and the plan."""
    shape = conv_shape(x, weight.shape, *where, 1)
    data = kernels.channels_last(x)
    plan = kernels.Plan(x.shape, shape, threshold, fill, kernels.scan(data))
    packed = kernels.pack_weight(weight, bias)
    return plan.run(data, packed, write_nan=True, **more), plan


@FEW
@given(layers())
def test_convolution_agrees_with_loops(level, case):
    _, x, weight, bias, pick, threshold, fill = case
    where = (pick["stride"], pick["padding"], pick["dilation"])
    want, skipped, _ = oracle.conv(x, weight, bias, *where, 1, threshold, fill)
    weight = torch.tensor(weight, dtype=torch.float32)
    bias = None if bias is None else torch.tensor(bias, dtype=torch.float32)
    (out, counts), plan = run(torch.tensor(x), weight, bias, where, threshold, fill)
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-4, atol=1e-4)
    assert plan.totals[kernels.SKIPPED] == skipped
    np.testing.assert_array_equal(counts.int().numpy(), np.isnan(want).sum(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_half_precision_is_widened_and_rounded_once(dtype, fill, monkeypatch):
    x, weight = torch.randn(1, 16, 24, 24), torch.randn(16, 16, 3, 3)
    x[:, :, 4:20, 3:18] = torch.nan
    x, weight, bias = x.to(dtype), weight.to(dtype), torch.randn(16).to(dtype)
    taken = []
    run = kernels.Plan.run
    monkeypatch.setattr(
        kernels.Plan, "run", lambda *a, **k: taken.append(1) or run(*a, **k)
    )
    where = {"padding": 1, "threshold": 0.5, "fill": fill}
    found = rn.nan_conv2d(x, weight, bias, **where)
    assert taken
    assert found.dtype == dtype
    wide = rn.nan_conv2d(x.float(), weight.float(), bias.float(), **where)
    assert torch.equal(found.isnan(), wide.isnan())
    known = ~found.isnan()
    assert torch.equal(found[known], wide[known].to(dtype))


@FEW
@given(layers())
def test_maximum_with_another_tensor_is_fused(level, case):
    _, x, weight, bias, pick, threshold, fill = case
    x, weight = torch.tensor(x), torch.tensor(weight, dtype=torch.float32)
    bias = None if bias is None else torch.tensor(bias, dtype=torch.float32)
    where = (pick["stride"], pick["padding"], pick["dilation"])
    (alone, _), _ = run(x, weight, bias, where, threshold, fill)
    rng = np.random.default_rng(0)
    other = torch.tensor(blotched(rng, tuple(alone.shape), 0.3, False))
    other[:, :, ..., 0] = NAN
    other = kernels.channels_last(other)
    gone = kernels.scan(other)
    (got, counts), _ = run(
        x, weight, bias, where, threshold, fill, other=other, other_counts=gone
    )
    want = torch.maximum(alone, other)
    assert torch.equal(counts.int(), want.isnan().sum(1).int())
    kernels.define(got, counts)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


def test_threads_and_tiles_do_not_change_a_bit(level):
    rng = np.random.default_rng(1)
    x = torch.tensor(blotched(rng, (2, 24, 37, 41), 0.3, True))
    weight = torch.tensor(rng.standard_normal((40, 24, 3, 3)), dtype=torch.float32)
    where = ((1, 1), (1, 1), (1, 1))
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(run(x, weight, None, where, 0.5, "mean")[0][0])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=0, equal_nan=True)
    # The same window alone, away from its neighbours.
    alone = run(
        x[:1, :, 10:13, 20:23], weight, None, ((1, 1), (0, 0), (1, 1)), 2.0, "mean"
    )
    whole = run(x[:1], weight, None, where, 2.0, "mean")[0][0]
    assert torch.equal(alone[0][0][0, :, 0, 0], whole[0, :, 11, 21])


@st.composite
def poolings(draw):
    dims = draw(st.sampled_from([2, 3]))
    kernel = draw(
        st.sampled_from([(2, 2), (1, 3), (2, 4), (1, 1)])
        if dims == 2
        else st.sampled_from([(2, 2, 2), (1, 2, 3)])
    )
    stride = kernel if draw(st.booleans()) else (1,) * dims
    plane = tuple(k * draw(st.integers(1, 3)) + draw(st.integers(0, 1)) for k in kernel)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 2)), draw(st.sampled_from([1, 5, 19])), *plane)
    x = rng.choice([-1.0, 0.0, 1.0, 1 + 2**-23, 2.0, np.inf, -np.inf], shape)
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    gone = rng.random((shape[0], 1, *plane)) < share
    gone = gone | (rng.random(shape) < share / 3)
    rule = TieRule(
        draw(st.integers(1, 3)),
        draw(st.sampled_from([None, 0.0, 1e-7, 0.6])),
        draw(st.sampled_from([0.0, 1e-8])),
        draw(st.sampled_from(["close", "constant"])),
    )
    return (
        torch.tensor(np.where(gone, NAN, x), dtype=torch.float32),
        kernel,
        stride,
        rule,
    )


@FEW
@given(poolings())
def test_pooling_and_unpooling_agree_with_the_functions(level, case):
    x, kernel, stride, rule = case
    dims = x.dim() - 2
    how = {
        "max_threshold": rule.max_threshold,
        "rtol": rule.rtol,
        "atol": rule.atol,
        "criterion": rule.criterion,
    }
    windows = pooling_windows(x.shape[2:], kernel, stride)
    data = kernels.channels_last(x.clone())
    counts = kernels.scan(data)
    data.masked_fill_((counts.int() == x.shape[1])[:, None], 7.0)  # undefined there
    tie = rn.tie_max_pool2d if dims == 2 else rn.tie_max_pool3d
    aggressive = rn.nan_max_pool2d if dims == 2 else rn.nan_max_pool3d
    unpool = rn.nan_max_unpool2d if dims == 2 else rn.nan_max_unpool3d
    want, first, ties = tie(x, kernel, stride, **how)
    got, cells, gone = kernels.pool(data, counts, windows, rule, aggressive=False)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(cells, ties)
    assert torch.equal(gone.int(), want.isnan().sum(1).int())
    if stride == kernel:
        out, gone = kernels.unpool(got, gone, cells, kernel, x.shape[2:])
        plain_out = unpool(want, first, ties, kernel, stride, x.shape[2:])
        torch.testing.assert_close(out, plain_out, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(gone.int(), plain_out.isnan().sum(1).int())
    want, first = aggressive(x, kernel, stride, **how)
    got, cells, _ = kernels.pool(data, counts, windows, rule, aggressive=True)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
    positions = rn.ties_to_positions(cells, kernel, stride, x.shape[2:])
    assert torch.equal(torch.tensor(positions).squeeze(-1), first)


def carried(*shape, seed=0, share=0.3):
    """A tensor with NaN in whole pixels and in single values, in both forms."""
    rng = np.random.default_rng(seed)
    x = blotched(rng, shape, share, True)
    x = np.where(rng.random(shape) < share / 4, np.float32(NAN), x)
    x = torch.tensor(x, dtype=torch.float32)
    made = Carried.of(x.clone())
    undefined = made.counts.int() == shape[1]
    made.values.masked_fill_(undefined[:, None], 5.0)
    return x, made


NORM = nn.BatchNorm2d(6).eval()
NORM.running_mean.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
NORM.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "function",
    [
        torch.relu,
        F.relu,
        nn.LeakyReLU(0.2),
        nn.PReLU(),
        nn.PReLU(6),
        NORM,
        nn.Dropout().eval(),
        lambda x: torch.maximum(x, torch.flip(plain(x), [2])),
        lambda x: torch.cat([x, x], 1),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    ],
    ids=[
        "relu",
        "F.relu",
        "leaky",
        "prelu",
        "prelus",
        "norm",
        "drop",
        "max",
        "cat",
        "zoom",
    ],
)
@torch.inference_mode()
def test_layers_carry_the_counts(function):
    x, made = carried(2, 6, 9, 7)
    got, want = function(made), function(x)
    assert isinstance(got, Carried)
    torch.testing.assert_close(plain(got), want, equal_nan=True)
    assert torch.equal(got.counts.int(), want.isnan().sum(1).int())


@torch.inference_mode()
def test_unknown_functions_get_ordinary_tensors():
    x, made = carried(1, 6, 4, 4)
    for function in (lambda t: t + 1, lambda t: t[:, 1], lambda t: torch.sum(t, 1)):
        got = function(made)
        assert type(got) is torch.Tensor
        torch.testing.assert_close(got, function(x), equal_nan=True)
    made[:, :, 0] = NAN  # written behind its back: counted again when next used
    x[:, :, 0] = NAN
    got = torch.relu(made)
    assert torch.equal(got.counts.int(), x.isnan().sum(1).int())
    inplace = F.relu(made, inplace=True)
    assert inplace is made


def converted(conv, **how):
    kind = ConvertedConv2d if isinstance(conv, nn.Conv2d) else ConvertedConv3d
    return kind.of(conv, Settings(**how))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
@torch.inference_mode()
def test_normalisation_and_maximum_join_the_convolution(share):
    """Below the crossover oneDNN computes, above it the kernels: same numbers."""
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 20, 3, padding=1)
    norm = nn.BatchNorm2d(20).eval()
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    norm.weight.uniform_(-1, 1)
    x, made = (torch.randn(2, 16, 30, 30),) * 2
    if share:
        x, made = carried(2, 16, 30, 30, share=share)
    other = torch.randn(2, 20, 30, 30)
    pending = norm(converted(conv)(made))
    assert isinstance(pending.pending, Pending)
    got = torch.maximum(pending, other)
    raw = rn.nan_conv2d(x, conv.weight, conv.bias, 1, 1, threshold=0.5)
    torch.testing.assert_close(
        plain(got),
        torch.maximum(norm(raw), other),
        rtol=1e-4,
        atol=1e-4,
        equal_nan=True,
    )


def test_weights_changed_after_the_first_call_are_seen():
    conv = nn.Conv2d(16, 16, 3)
    layer = converted(conv)
    with torch.inference_mode():
        _, made = carried(1, 16, 12, 12)
        before = plain(layer(made)).clone()
    with torch.no_grad():
        conv.weight.mul_(2)
        conv.bias.mul_(2)
    with torch.inference_mode():
        after = plain(layer(made))
    torch.testing.assert_close(after, 2 * before, equal_nan=True)


def test_kernels_refuse_what_they_cannot_take():
    assert kernels.usable(torch.zeros(1, 1, 2, 2))
    assert not kernels.usable(torch.zeros(1, 1, 2, 2, dtype=torch.float64))
    assert not kernels.usable(torch.zeros(0, 1, 2, 2))
