"""Elementwise operators: neighbours of the exact value, chosen with the right odds."""

from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from roundoff.rounding import RandomRounding, UnsupportedOperator

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ARRAYS = hnp.arrays(np.float32, 40, elements=FLOATS)
BINARY = {
    "add": (torch.add, lambda a, b: a + b),
    "sub": (torch.sub, lambda a, b: a - b),
    "mul": (torch.mul, lambda a, b: a * b),
    "div": (torch.div, lambda a, b: a / b if b else None),
}


def rounded(function, mode="random", seed=0, **more):
    with torch.no_grad(), RandomRounding(mode, seed=seed, **more):
        return function()


def neighbours(nearest, exact):
    """Floats around an exact rational, given its nearest float32."""
    value = Fraction(float(nearest))
    if value == exact:
        return {nearest}
    toward = np.float32(np.inf if value < exact else -np.inf)
    return {nearest, np.nextafter(nearest, toward)}


@pytest.mark.parametrize("mode", ["random", "nearness", "upward", "downward"])
@pytest.mark.parametrize("name", BINARY)
@given(a=ARRAYS, b=ARRAYS)
@settings(max_examples=25, deadline=None)
def test_results_are_the_floor_or_the_ceiling(name, mode, a, b):
    operator, exact = BINARY[name]
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    plain = operator(x, y).numpy()
    results = rounded(lambda: operator(x, y), mode).numpy()
    for i, result in enumerate(results):
        value = exact(Fraction(float(a[i])), Fraction(float(b[i])))
        if value is None or not np.isfinite(plain[i]):
            assert result == plain[i] or (np.isnan(result) and np.isnan(plain[i]))
            continue
        assert result in neighbours(plain[i], value)
        if mode in ("upward", "downward"):
            high = Fraction(float(result)) >= value if np.isfinite(result) else True
            low = Fraction(float(result)) <= value if np.isfinite(result) else True
            assert high if mode == "upward" else low


@given(a=ARRAYS, b=ARRAYS)
@settings(max_examples=25, deadline=None)
def test_nearest_is_torch_bit_for_bit(a, b):
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    for operator, _ in BINARY.values():
        result = rounded(lambda op=operator: op(x, y), "nearest")
        assert np.array_equal(
            result.numpy().view(np.uint32), operator(x, y).numpy().view(np.uint32)
        ) or torch.equal(result.nan_to_num(), operator(x, y).nan_to_num())


X = torch.randn(20_000, generator=torch.Generator().manual_seed(1))
Y = torch.rand(20_000, generator=torch.Generator().manual_seed(2)) + 0.5


@pytest.mark.parametrize("name", BINARY)
def test_random_goes_up_half_of_the_time_and_nearness_by_the_residual(name):
    operator, _ = BINARY[name]
    exact = operator(X.double(), Y.double()).numpy()
    nearest = exact.astype(np.float32)
    toward = np.where(nearest > exact, -np.inf, np.inf).astype(np.float32)
    other = np.nextafter(nearest, toward).astype(np.float64)
    floor, ceiling = np.minimum(nearest, other), np.maximum(nearest, other)
    inexact = nearest.astype(np.float64) != exact
    share = ((exact - floor) / (ceiling - floor))[inexact]
    up = (rounded(lambda: operator(X, Y)).numpy() == ceiling)[inexact]
    assert abs(up.mean() - 0.5) < 3 / np.sqrt(up.size)  # six standard errors
    up = (rounded(lambda: operator(X, Y), "nearness").numpy() == ceiling)[inexact]
    slope = np.cov(up, share)[0, 1] / share.var()
    assert abs(slope - 1) < 0.07
    assert abs(up.mean() - share.mean()) < 3 / np.sqrt(up.size)


@pytest.mark.parametrize("mode", ["random", "nearness", "upward"])
def test_special_values(mode):
    x = torch.tensor([0.0, -0.0, np.inf, -np.inf, np.nan, 1e38, 1e-45])
    y = torch.tensor([-0.0, -0.0, 1.0, np.inf, 1.0, 1e38, 0.0])
    results = rounded(lambda: x + y, mode)
    expected = x + y
    assert torch.equal(results.isnan(), expected.isnan())
    keep = ~expected.isnan()
    assert torch.equal(results[keep], expected[keep])
    assert torch.equal(results[keep].signbit(), expected[keep].signbit())


FUNCTIONS = {
    "exp": torch.exp,
    "log": lambda x: torch.log(x.abs() + 0.1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "erf": torch.erf,
    "sqrt": lambda x: torch.sqrt(x.abs()),
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 0.1),
    "pow 1.5": lambda x: (x.abs() + 0.1) ** 1.5,
    "square": torch.square,
    "reciprocal": lambda x: torch.reciprocal(x.abs() + 0.1),
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "hardswish": F.hardswish,
    "logsigmoid": F.logsigmoid,
    "lerp": lambda x: torch.lerp(x, Y[: x.numel()].to(x.dtype), 0.3),
    "addcmul": lambda x: torch.addcmul(x.abs(), x, x, value=0.3),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1, value=0.3),
    "atan2": lambda x: torch.atan2(x, x + 3),
}


@pytest.mark.parametrize("mode", ["random", "nearness"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_spread_around_their_value(name, mode):
    function, x = FUNCTIONS[name], X[:4000]
    exact = function(x.double())
    samples = torch.stack([rounded(lambda: function(x), mode, s) for s in range(8)])
    scale = exact.abs().clamp(min=0.05)
    error = (samples.double() - exact).abs() / scale
    assert error.max() < 20 * 2.0**-24 * 8
    assert (samples.std(0) > 0).float().mean() > 0.25
    assert torch.equal(samples[0], rounded(lambda: function(x), mode, 0))


FLOAT64 = [torch.exp, torch.sin, torch.tanh, torch.sigmoid, F.silu, lambda x: x**3.3]


@pytest.mark.parametrize("function", FLOAT64)
def test_functions_of_float64_move_in_the_last_place(function):
    x = X[:2000].double().abs()
    plain = function(x)
    samples = torch.stack([rounded(lambda: function(x), seed=s) for s in range(6)])
    assert ((samples - plain).abs() <= 3 * 2.0**-52 * plain.abs()).all()
    assert (samples.std(0) > 0).double().mean() > 0.5


def test_a_float64_function_without_a_wider_one_is_unsupported():
    with pytest.raises(UnsupportedOperator, match="erf"):
        rounded(lambda: torch.erf(X[:4].double()))


@pytest.mark.parametrize("libm", ["internal", "output", "exclude"])
def test_libm_choice(libm):
    x = X[:4000]
    exact = torch.exp(x.double())
    samples = [rounded(lambda: x.exp(), seed=s, libm=libm) for s in range(12)]
    ulp = torch.from_numpy(np.spacing(exact.float().numpy())).double()
    spread = (torch.stack(samples).double().std(0) / ulp).square().mean().sqrt().item()
    bounds = {"internal": (2.0, 3.0), "output": (0.45, 0.55), "exclude": (0.0, 0.0)}
    low, high = bounds[libm]
    assert low <= spread <= high


def test_exp_at_the_ends_of_its_range():
    x = torch.tensor([-200.0, -104.5, -90.0, 0.0, 88.0, 89.0, 200.0, np.nan, -np.inf])
    for mode in ("random", "nearness", "nearest"):
        y, plain = rounded(lambda: x.exp(), mode), x.exp()
        assert torch.equal(y.isnan(), plain.isnan())
        torch.testing.assert_close(y, plain, rtol=3e-6, atol=2e-45, equal_nan=True)
        assert y[3] == 1
