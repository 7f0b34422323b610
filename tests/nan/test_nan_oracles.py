"""Pooling, unpooling and convolution against direct loops, on generated inputs."""

import nan_oracles as oracle
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import roundoff.nan as rn

POOL = {
    2: (rn.nan_max_pool2d, rn.tie_max_pool2d),
    3: (rn.nan_max_pool3d, rn.tie_max_pool3d),
}
UNPOOL = {2: rn.nan_max_unpool2d, 3: rn.nan_max_unpool3d}
CONV = {2: rn.nan_conv2d, 3: rn.nan_conv3d}
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
FEW = settings(max_examples=60, deadline=None)


def values(draw, shape, nan_share, infinite):
    """Few distinct numbers, so that ties are common; NaN and infinities among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.choice([-2.0, -0.5, 0.0, 0.5, 1.0, 1.0009765625, 3.0, 300.0], size=shape)
    jitter = rng.choice([0, 1e-7, 1e-4], size=shape)
    x = x * (1 + jitter * rng.integers(-2, 3, size=shape))
    if infinite:
        chance = rng.random(shape)
        x = np.where(chance < 0.1, np.inf, np.where(chance > 0.9, -np.inf, x))
    return np.where(rng.random(shape) < nan_share, np.nan, x)


@st.composite
def pools(draw):
    dims = draw(st.sampled_from([2, 2, 3]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(dims))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(dims))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    plane = tuple(k + draw(st.integers(0, 3)) for k in kernel)
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *plane)
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    x = torch.tensor(values(draw, shape, share, draw(st.booleans())))
    dtype = draw(st.sampled_from(DTYPES))
    rule = {
        "max_threshold": draw(st.integers(1, 3)),
        "rtol": draw(st.sampled_from([None, 0.0, 1e-7, 1e-3])),
        "atol": draw(st.sampled_from([0.0, 1e-8, 0.01])),
    }
    return x.to(dtype), dims, kernel, stride, padding, rule


def array(x):
    return (x.double() if x.dtype == torch.float64 else x.float()).numpy()


@FEW
@given(pools())
def test_pools_and_unpooling_agree_with_loops(case):
    x, dims, kernel, stride, padding, rule = case
    loop_rule = dict(rule)
    if rule["rtol"] is None:
        loop_rule["rtol"] = torch.finfo(x.dtype).eps
    want = oracle.pool(array(x), kernel, stride, padding=padding, **loop_rule)
    aggressive, conservative = POOL[dims]
    got, indices = aggressive(x, kernel, stride, padding=padding, **rule)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(array(got), want[0])
    np.testing.assert_array_equal(indices.numpy(), want[1])
    kept, first, ties = conservative(x, kernel, stride, padding=padding, **rule)
    np.testing.assert_array_equal(array(kept), want[2])
    np.testing.assert_array_equal(first.numpy(), want[3])
    positions = rn.ties_to_positions(ties, kernel, stride, x.shape[2:], padding=padding)
    for spot, (_, cells) in want[4].items():
        held = positions
        for i in spot:
            held = held[i]
        assert held == cells
    back = rn.positions_to_ties(positions, kernel, stride, x.shape[2:], padding=padding)
    assert torch.equal(back, ties)
    out = UNPOOL[dims](kept, first, ties, kernel, stride, x.shape[2:], padding=padding)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(
        array(out), oracle.unpool(want[2], want[4], x.shape[2:])
    )


@st.composite
def convolutions(draw):
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
    groups, per = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    plane = [
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 3))
        for k, p, d in zip(
            pick["kernel"], pick["padding"], pick["dilation"], strict=True
        )
    ]
    shape = (draw(st.integers(1, 3)), groups * per, *plane)
    share = draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
    x = values(draw, shape, share, draw(st.booleans()))
    x = np.where(np.abs(x) == 300, 2.0, x)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs = groups * draw(st.integers(1, 2))
    weight = rng.integers(-4, 5, size=(outputs, per, *pick["kernel"])) / 4
    bias = rng.integers(-4, 5, size=outputs) / 4 if draw(st.booleans()) else None
    threshold = draw(st.sampled_from([0.1, 0.25, 0.4, 0.5, 2 / 3, 0.75, 1.0, 1.5]))
    fill = draw(st.sampled_from(["mean", "zero"]))
    return dims, x, weight, bias, pick, groups, threshold, fill


TOLERANCE = {
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
    torch.float32: 1e-4,
    torch.float64: 1e-10,
}


@FEW
@given(convolutions(), st.sampled_from(DTYPES))
def test_convolution_agrees_with_loops(case, dtype):
    dims, x, weight, bias, pick, groups, threshold, fill = case
    x, weight = torch.tensor(x).to(dtype), torch.tensor(weight).to(dtype)
    bias = None if bias is None else torch.tensor(bias).to(dtype)
    where = (pick["stride"], pick["padding"], pick["dilation"], groups)
    arrays = [None if t is None else t.double().numpy() for t in (x, weight, bias)]
    want, skipped, total = oracle.conv(*arrays, *where, threshold, fill)
    got = CONV[dims](x, weight, bias, *where, threshold=threshold, fill=fill)
    assert got.dtype == dtype
    if got.isinf().any() or np.isinf(want).any():
        # Overflow of the half types, and infinities: same kind at the same places.
        np.testing.assert_array_equal(got.isnan().numpy(), np.isnan(want))
        np.testing.assert_array_equal(got.isinf().numpy(), np.isinf(want))
        want = np.where(np.isinf(want), got.double().numpy(), want)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(
        got.double().numpy(), want, rtol=tolerance, atol=20 * tolerance
    )
    count = rn.count_skipped(x, weight.shape, *where, threshold)
    assert (count.skipped, count.total) == (skipped, total)
    per = weight[0].numel() * (weight.shape[0] // groups)
    assert (count.skipped_macs, count.total_macs) == (skipped * per, total * per)


@FEW
@given(convolutions())
def test_samples_do_not_know_of_each_other(case):
    dims, x, weight, bias, pick, groups, threshold, fill = case
    x, weight = torch.tensor(x), torch.tensor(weight)
    bias = None if bias is None else torch.tensor(bias)
    where = (pick["stride"], pick["padding"], pick["dilation"], groups)

    def run(part):
        return CONV[dims](part, weight, bias, *where, threshold=threshold, fill=fill)

    alone = torch.cat([run(sample[None]) for sample in x])
    torch.testing.assert_close(run(x), alone, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("dims", [2, 3])
def test_batches_pool_like_single_samples(dims):
    g = torch.Generator().manual_seed(1)
    x = torch.randint(0, 3, (4, 3, *(5,) * dims), generator=g).float()
    x[torch.rand(x.shape, generator=g) < 0.3] = float("nan")
    for function in POOL[dims]:
        together = function(x, 2, 1)
        alone = zip(*[function(sample[None], 2, 1) for sample in x], strict=True)
        for got, parts in zip(together, alone, strict=True):
            torch.testing.assert_close(got, torch.cat(parts), equal_nan=True)
