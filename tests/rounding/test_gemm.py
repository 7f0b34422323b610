"""Matrix and dot products: values, rounding of every step, invariances, errors."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff.rounding.elementary import dither
from roundoff.rounding.environment import DIRECTIONS
from roundoff.rounding.kernels import product
from roundoff.rounding.kernels.gemm import dot, matmul
from roundoff.rounding.kernels.rules import (
    Blend,
    Coarse,
    Dithered,
    Flip,
    Plain,
    has_avx512,
    operand_dtype,
    rule_for,
)
from roundoff.rounding.plan import MODES, ORDERS, Plan
from roundoff.rounding.streams import stream_key


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def plan(mode="random", order="native", seed=1, **more):
    return Plan(mode, order, key=stream_key(seed), **more)


@pytest.fixture
def flipping(monkeypatch):
    """Use the sign-flip rule, that of CPUs without AVX-512, for mode random."""
    original = product.rule_for

    def rule(wanted, dtype):
        if wanted.mode != "random":
            return original(wanted, dtype)
        sign = 1 << (8 * np.dtype(dtype).itemsize - 1)
        return Flip(np.int32(wanted.direction), np.uint64(sign))

    monkeypatch.setattr(product, "rule_for", rule)


SHAPES = [(1, 1, 1), (3, 7, 5), (64, 64, 64), (17, 300, 50), (1, 40, 100), (100, 40, 1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape, mode, dtype):
    m, k, n = shape
    a, b, c = (
        normal(*s, seed=i, dtype=dtype) for i, s in enumerate([(m, k), (k, n), (n,)])
    )
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble) + c
    scale = np.abs(a) @ np.abs(b) + np.abs(c)
    ours = matmul(a, b, c, plan=plan(mode))
    assert ours.dtype == dtype
    assert (np.abs(ours - exact) <= (k + 2) * np.finfo(dtype).eps * scale).all()


@pytest.mark.parametrize("order", ORDERS)
def test_directed_modes_bracket_the_exact_product(order):
    a, b = normal(33, 500), normal(500, 70, seed=1)
    exact = a.astype(np.float64) @ b
    low = matmul(a, b, plan=plan("downward", order))
    high = matmul(a, b, plan=plan("upward", order))
    assert (low < exact).all()
    assert (high > exact).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
def test_exact_products_never_change(mode, dtype):
    draw = np.random.default_rng(2)
    a, b = (draw.integers(-20, 20, s).astype(dtype) for s in [(20, 300), (300, 60)])
    np.testing.assert_array_equal(matmul(a, b, plan=plan(mode)), a @ b)
    np.testing.assert_array_equal(dot(a[0], b[:, 0], plan=plan(mode)), a[0] @ b[:, 0])


def test_exact_products_never_change_by_sign_flips(flipping):
    draw = np.random.default_rng(2)
    a, b = (draw.integers(-20, 20, s).astype("f4") for s in [(20, 300), (300, 60)])
    np.testing.assert_array_equal(matmul(a, b, plan=plan()), a @ b)


# --- one step at a time: the vector rules give the floor or the ceiling ---------------


def rules():
    wide, near = np.uint64(2**29 - 1), np.int32(DIRECTIONS["nearest"])
    down, sign = np.int32(DIRECTIONS["downward"]), np.uint64(1 << 31)
    coin, eleven = dither("random"), dither("nearness", 11)
    found = {
        "flip": Flip(down, sign),
        "dithered": Dithered(near, wide),
        "coin": Coarse(near, coin.mask, coin.shift),
        "11 bits": Coarse(near, eleven.mask, eleven.shift),
        "upward": Plain(np.int32(DIRECTIONS["upward"])),
    }
    return found | ({"blend": Blend(near, np.int32(0))} if has_avx512() else {})


def one_step(rule, a, b, c):
    """round(a[i] * b[j] + c[i, j]) by the inner loop of products."""
    out = np.array(c, np.float32)
    rows, columns = out.shape
    places = product.Places((1, 1, 1, columns), (0, 0, 0, 1), (0, 0, 0, 1), columns)
    pieces, offsets = np.array([[0, 1, 0]]), np.zeros(1, np.int64)
    product._product_in_tiles(
        b, offsets, places, a.reshape(1, rows, 1), pieces, out.reshape(-1), plan(), rule
    )
    return out


def ulp(value, bits):
    _, exponent = np.frexp(value)
    return np.exp2(exponent - float(bits))


@pytest.mark.parametrize("name", rules())
def test_each_step_rounds_as_its_rule_says(name):
    rule, bits = rules()[name], 11 if name == "11 bits" else 24
    a, b = normal(64), normal(960, seed=1)
    c = np.ldexp(normal(64, 960, seed=2), 3)
    if name == "11 bits":
        a, b, c = (v.astype(np.float16).astype(np.float32) for v in (a, b, c))
    exact = a.astype(np.float64)[:, None] * b + c
    result = one_step(rule, a, b, c)
    step = ulp(exact, bits)
    floor = np.floor(exact / step) * step
    residual = (exact - floor) / step
    up = (result - floor) / step
    inexact = residual > 0
    assert set(np.unique(up[inexact])) <= {0.0, 1.0}
    assert (up[~inexact] == 0).all()
    if name == "upward":
        assert (up[inexact] == 1).all()
        return
    chance = residual[inexact] if name in ("dithered", "11 bits") else 0.5
    spread = chance * (1 - chance) * np.ones(inexact.sum())
    score = (up[inexact] - chance).sum() / math.sqrt(spread.sum())
    assert abs(score) < 5
    slope = np.polyfit(residual[inexact], up[inexact], 1)[0]
    assert slope == pytest.approx(float(name in ("dithered", "11 bits")), abs=0.03)


@pytest.mark.parametrize("name", ["flip", "dithered", "coin", "blend"])
def test_neighbouring_outputs_round_independently(name):
    if name not in rules():
        pytest.skip("needs AVX-512")
    ones = np.ones((80, 4800), np.float32)
    a, b = np.full(80, 1.0, np.float32), np.full(4800, 2.0**-25, np.float32)
    if name == "dithered":  # residual 1/2 instead of 1/4
        b *= 2
    up = (one_step(rules()[name], a, b, ones) > 1).astype(np.float64)
    up -= up.mean()
    bar = 5 / math.sqrt(up.size)
    for lag in (1, 2, 8, 16, 32, 48):
        assert abs((up[:, lag:] * up[:, :-lag]).mean() * 4) < bar, f"column lag {lag}"
    for lag in (1, 2, 4, 8):
        assert abs((up[lag:] * up[:-lag]).mean() * 4) < bar, f"row lag {lag}"


@pytest.mark.parametrize("name", ["flip", "dithered", "blend"])
def test_steps_of_one_chain_round_independently(name, monkeypatch):
    """The sum of n equal half-way steps has the spread of n coins."""
    if name not in rules():
        pytest.skip("needs AVX-512")
    monkeypatch.setattr(product, "rule_for", lambda wanted, dtype: rules()[name])
    terms = 400
    a, b = np.ones((64, terms), np.float32), np.full((terms, 480), 2.0**-24, np.float32)
    start = np.ones((64, 480), np.float32)
    result = matmul(a, b, start, plan=plan(order="sequential"))
    ups = (result - 1) * 2.0**23
    assert ups.mean() == pytest.approx(
        terms / 2, abs=5 * 0.5 * 20 / math.sqrt(ups.size)
    )
    bar = 5 * math.sqrt(2 / ups.size)
    assert ups.var() / (terms / 4) == pytest.approx(1, abs=bar)


@settings(max_examples=60, deadline=None)
@given(
    values=st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3),
    mode=st.sampled_from(MODES),
)
def test_single_multiply_add_of_any_magnitude(values, mode):
    a, b, c = (np.float32(v) for v in values)
    with np.errstate(over="ignore"):
        result = matmul(
            a.reshape(1, 1), b.reshape(1, 1), c.reshape(1, 1),
            plan=plan(mode, "sequential"),
        )[0, 0]  # fmt: skip
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    biggest = np.finfo(np.float32).max
    if abs(exact) >= Fraction(float(biggest)):
        assert abs(result) >= np.nextafter(biggest, np.float32(0))
        return
    error = abs(Fraction(float(result)) - exact)
    spacing = max(abs(float(exact)) * 2.0**-23, 2.0**-149)
    assert error < Fraction(spacing) * (1 if error else 2)


@pytest.mark.parametrize("mode", ["random", "nearness", "upward", "downward"])
def test_overflow_becomes_infinite_as_in_round_to_nearest(mode):
    a = np.full((3, 4), 1e20, np.float32)
    b = np.full((4, 50), 1e20, np.float32)
    assert (matmul(a, b, plan=plan(mode)) == np.inf).all()
    assert (matmul(-a, b, plan=plan(mode)) == -np.inf).all()


@pytest.mark.parametrize("mode", MODES)
def test_nan_and_infinity_pass_through(mode):
    a, b = normal(10, 40), normal(40, 60, seed=1)
    a[2, 3], a[4, 5], b[7, 8] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a @ b
    ours = matmul(a, b, plan=plan(mode))
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(ours[infinite], expected[infinite])
    assert np.isfinite(ours[~infinite & ~np.isnan(expected)]).all()


@pytest.mark.parametrize("mode", MODES)
def test_zero_is_positive(mode):
    a = np.array([[1, -1]], np.float32)
    b = np.full((2, 60), 0.3, np.float32)
    result = matmul(a, b, plan=plan(mode))
    assert (result == 0).all()
    assert not np.signbit(result).any()


# --- invariances ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_same_bits_for_any_number_of_threads(mode, dtype):
    a, b = normal(20, 200, dtype=dtype), normal(200, 333, seed=1, dtype=dtype)
    results = [matmul(a, b, plan=plan(mode, threads=t)) for t in (1, 2, 3, 8)]
    assert len({r.tobytes() for r in results}) == 1


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_seeds_and_layouts(mode):
    a, b = normal(40, 300), normal(300, 50, seed=1)
    first = matmul(a, b, plan=plan(mode))
    again = matmul(np.asfortranarray(a), np.asfortranarray(b), plan=plan(mode))
    np.testing.assert_array_equal(first, again)
    other = matmul(a, b, plan=plan(mode, seed=2))
    assert (other != first).mean() > 0.5


def test_batch_and_empty():
    a, b = normal(3, 5, 7), normal(3, 7, 9, seed=1)
    ours = matmul(a, b, plan=plan("nearest"))
    np.testing.assert_allclose(ours, a @ b, atol=1e-5)
    assert matmul(a[:, :0], b, plan=plan()).shape == (3, 0, 9)
    nothing = matmul(a[0][:, :0], b[0][:0], np.ones(9, np.float32), plan=plan())
    np.testing.assert_array_equal(nothing, np.ones((5, 9)))


def test_errors_name_the_problem():
    a, b = normal(2, 3), normal(4, 5)
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4, 5\)"):
        matmul(a, b, plan=plan())
    with pytest.raises(ValueError, match="batch sizes"):
        matmul(normal(2, 3, 4), normal(3, 4, 5), plan=plan())
    with pytest.raises(TypeError, match="float16"):
        matmul(a.astype(np.float16), b.astype(np.float16), plan=plan())
    with pytest.raises(TypeError, match="b float64"):
        matmul(a, b.astype(np.float64), plan=plan())
    with pytest.raises(ValueError, match="one length"):
        dot(a[0], b[0], plan=plan())
    for field, value in (("mode", "odd"), ("order", "none"), ("libm", "x")):
        with pytest.raises(ValueError, match=f"{field}='{value}'"):
            Plan(**{field: value})
    for field, value in (("threads", 0), ("precision", 30), ("key", -1)):
        with pytest.raises(ValueError, match=field):
            Plan(**{field: value})


def test_rules_of_modes():
    assert isinstance(rule_for(plan("nearness"), np.float32), Dithered)
    assert isinstance(rule_for(plan("nearness", precision=11), np.float32), Coarse)
    assert isinstance(rule_for(plan("toward_zero"), np.float32), Plain)
    expected = Blend if has_avx512() else Flip
    assert isinstance(rule_for(plan(), np.float64), expected)
    assert (
        operand_dtype(rule_for(plan("nearness"), np.float32), np.float32) == np.float64
    )
    with pytest.raises(ValueError, match="float64"):
        rule_for(plan("nearness"), np.float64)


def test_reduced_precision_products_have_few_bits():
    a, b = normal(8, 1), normal(1, 60, seed=1)
    result = matmul(a, b, plan=plan("nearness", precision=8))
    mantissa, _ = np.frexp(result.astype(np.float64))
    np.testing.assert_array_equal(mantissa * 2**8, np.round(mantissa * 2**8))
