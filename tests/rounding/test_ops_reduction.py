"""Sums in PyTorch's order, means, variances, pooling, running sums."""

import math

import pytest
import torch
import torch.nn.functional as F

from roundoff.rounding import RandomRounding

G = torch.Generator().manual_seed(4)
X = torch.randn(3, 5, 24, 37, generator=G)


def rounded(function, mode="random", seed=0, **more):
    with torch.no_grad(), RandomRounding(mode, seed=seed, **more) as rounding:
        result = function()
    return result, rounding.coverage


@pytest.fixture(autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 7, 10, 31, 100, 1000, 4097, 20_000])
def test_sum_of_a_vector_is_torchs_bit_for_bit_in_nearest(n):
    x = torch.rand(n, generator=torch.Generator().manual_seed(n))
    result, coverage = rounded(lambda: x.sum(), "nearest")
    assert torch.equal(result, x.sum())
    assert coverage.operations == n


@pytest.mark.parametrize("dim", [0, 1, 3, (2, 3), (0, 2, 3), (1, 2), None])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions_over_dimensions(name, dim):
    def function():
        return getattr(X, name)(dim) if dim is not None else getattr(X, name)()

    near = rounded(function, "nearest")[0]
    torch.testing.assert_close(near, function(), rtol=1e-6, atol=1e-6)
    if dim in (3, (2, 3), None, 0, 1, (0, 2, 3)):
        assert torch.equal(near, function())
    # one output may come back as in round-to-nearest by chance
    noisy = torch.stack([rounded(function, seed=seed)[0] for seed in range(8)])
    assert not torch.equal(noisy, near.expand_as(noisy))
    torch.testing.assert_close(noisy, near.expand_as(noisy), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda: X.var(),
        lambda: X.std(1),
        lambda: X.var((2, 3), correction=0, keepdim=True),
        lambda: torch.var_mean(X, 1)[0],
        lambda: X.norm(dim=1),
        lambda: torch.linalg.vector_norm(X, 1, dim=2),
        lambda: torch.linalg.vector_norm(X, math.inf),
        lambda: X.logsumexp(1),
        lambda: X.abs().prod(1),
        lambda: X.cumsum(2),
        lambda: F.avg_pool2d(X, 2),
        lambda: F.avg_pool2d(X, 3, 2, 1, count_include_pad=False, ceil_mode=True),
        lambda: F.avg_pool1d(X[0], 3),
        lambda: F.avg_pool3d(X, (2, 2, 3)),
        lambda: F.adaptive_avg_pool2d(X, (5, 7)),
        lambda: F.adaptive_avg_pool2d(X, 1),
    ],
)
def test_close_to_torch_in_every_mode(function):
    plain = function()
    for mode in ("nearest", "random", "nearness", "downward"):
        result = rounded(function, mode)[0]
        torch.testing.assert_close(result, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(2, 2), (3, 2)])
def test_average_pooling_is_torchs_in_nearest_and_counts_its_taps(size):
    result, coverage = rounded(lambda: F.avg_pool2d(X, size), "nearest")
    assert torch.equal(result, F.avg_pool2d(X, size))
    assert coverage.operations == result.numel() * (size[0] * size[1] + 1)


@pytest.mark.parametrize(("mode", "ulp"), [("random", 0.585), ("nearness", 0.52)])
def test_spread_of_average_pooling_is_verrous(mode, ulp):
    samples = [rounded(lambda: F.avg_pool2d(X, 2), mode, s)[0] for s in range(40)]
    values = torch.stack(samples).double()
    spacing = 2.0 ** (torch.floor(torch.log2(values.mean(0).abs())) - 23)
    median = (values.std(0) / spacing).median().item()
    assert median == pytest.approx(ulp, rel=0.06)


def test_sum_of_many_tenths_drifts_in_random_and_not_in_nearness():
    x = torch.full((1_000_000,), 0.1)
    random = rounded(lambda: x.cumsum(0), "random")[0][-1]
    exact = 1e6 * float(torch.tensor(0.1))
    assert random == pytest.approx(exact, rel=1e-6)  # float64 accumulator
    assert rounded(lambda: x.sum(), "nearness")[0] == pytest.approx(exact, rel=1e-6)


def test_scattered_additions_round():
    index = torch.zeros(1000, dtype=torch.int64)
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    start = torch.zeros(1)
    sums = {
        rounded(lambda: start.index_add(0, index, x), "random", s)[0].item()
        for s in range(5)
    }
    assert len(sums) > 1
    assert rounded(lambda: start.scatter_add(0, index, x), "nearest")[0].item() == (
        start.scatter_add(0, index, x).item()
    )
