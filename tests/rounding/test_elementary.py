"""Each primitive gives the floor or the ceiling of the exact value, in every mode."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff.rounding import elementary
from roundoff.rounding.compilation import keep_apart, kernel
from roundoff.rounding.elementary import add, div, fma, mul, narrow, sqrt, sub
from roundoff.rounding.environment import (
    NEAREST,
    current_direction,
    set_rounding,
)
from roundoff.rounding.plan import MODES, Plan
from roundoff.rounding.streams import element_word

OPERATIONS = ("add", "sub", "mul", "div", "fma", "sqrt")


@kernel
def _body(a, b, c, out, narrowed, key, rounder):
    keep_apart()
    for i in range(out.shape[1]):
        word = element_word(key, i)
        out[0, i] = add(a[i], b[i], word, 0, rounder)
        out[1, i] = sub(a[i], b[i], word, 1, rounder)
        out[2, i] = mul(a[i], b[i], word, 2, rounder)
        out[3, i] = div(a[i], b[i], word, 3, rounder)
        out[4, i] = fma(a[i], b[i], c[i], word, 4, rounder)
        out[5, i] = sqrt(a[i], word, 5, rounder)
        narrowed[i] = narrow(a[i], word, 6, rounder)


@kernel
def _run(a, b, c, out, narrowed, key, rounder, direction):
    set_rounding(direction)
    _body(a, b, c, out, narrowed, key, rounder)
    set_rounding(NEAREST)


def apply_all(mode, a, b, c, key=3, precision=24):
    a, b, c = (np.ascontiguousarray(v) for v in (a, b, c))
    plan = Plan(mode, key=key, precision=precision)
    out = np.empty((len(OPERATIONS), a.size), a.dtype)
    narrowed = np.empty(a.size, np.float32)
    _run(a, b, c, out, narrowed, np.uint64(key), plan.rounder, plan.direction)
    assert current_direction() == NEAREST
    return dict(zip(OPERATIONS, out, strict=True)) | {"narrow": narrowed}


def exact_value(name, a, b, c):
    """Exact rational result, or None where IEEE gives NaN or Inf."""
    needed = {"sqrt": (a,), "narrow": (a,), "fma": (a, b, c)}.get(name, (a, b))
    if not all(math.isfinite(v) for v in needed):
        return None
    a, b, c = (Fraction(float(v)) if math.isfinite(v) else None for v in (a, b, c))
    if name == "div":
        return a / b if b else None
    if name == "narrow":
        return a
    if name == "add":
        return a + b
    if name == "sub":
        return a - b
    return a * b if name == "mul" else a * b + c


def neighbours(value, nearest):
    """Floor and ceiling of an exact rational, given its round-to-nearest float."""
    with np.errstate(over="ignore", under="ignore"):
        return _neighbours(value, nearest)


def _neighbours(value, nearest):
    kind = type(nearest)
    if value is None:  # finite / Inf is an exact zero
        return nearest, nearest
    if Fraction(float(nearest)) == value:
        return nearest, nearest
    if Fraction(float(nearest)) > value:
        return np.nextafter(nearest, kind(-np.inf)), nearest
    return nearest, np.nextafter(nearest, kind(np.inf))


def same_bits(x, y):
    return x.tobytes() == y.tobytes() or (np.isnan(x) and np.isnan(y))


def numpy_results(a, b, c):
    with np.errstate(all="ignore"):
        wide = np.longdouble if a.dtype == np.float64 else np.float64
        product = a.astype(wide) * b.astype(wide) + c.astype(wide)
        return {
            "add": a + b,
            "sub": a - b,
            "mul": a * b,
            "div": a / b,
            "fma": product.astype(a.dtype),
            "sqrt": np.sqrt(a),
            "narrow": a.astype(np.float32),
        }


floats32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
floats64 = st.floats(width=64, allow_nan=True, allow_infinity=True)


def _check(mode, dtype, triples):
    a, b, c = (np.array(v, dtype) for v in zip(*triples, strict=True))
    results = apply_all(mode, a, b, c)
    reference = apply_all("nearest", a, b, c)
    for name, values in results.items():
        if name == "narrow" and dtype == np.float32:
            continue
        for i, result in enumerate(values):
            _check_one(mode, name, (a[i], b[i], c[i]), result, reference[name][i])


def _check_one(mode, name, operands, result, nearest):
    where = f"{mode} {name}{tuple(float(v) for v in operands)} -> {result!r}"
    if not np.isfinite(nearest):
        last = _just_beyond_the_range(name, operands, nearest)
        assert same_bits(result, nearest) or (last and np.isfinite(result)), where
        return
    if name == "sqrt":
        low, high = _sqrt_neighbours(operands[0], nearest)
    else:
        low, high = neighbours(exact_value(name, *operands), nearest)
    biggest = np.finfo(type(nearest)).max
    if abs(nearest) == biggest and low != high:
        assert abs(result) >= np.nextafter(biggest, 0), where  # may go to Inf
        return
    allowed = {
        "upward": [high],
        "downward": [low],
        "toward_zero": [low if nearest > 0 or low >= 0 else high],
        "nearest": [nearest],
    }.get(mode, [low, high])
    assert result in allowed, where
    if low == high:
        assert same_bits(result, nearest), where
    cancelled = name == "fma" and operands[2] != 0 and low != high
    if result == 0 and nearest == 0 and not cancelled:  # a rest below all subnormals
        assert np.signbit(result) == np.signbit(nearest), where


def _just_beyond_the_range(name, operands, nearest):
    """Within an ulp of the largest float: Inf and the largest are both accepted."""
    if np.isnan(nearest) or name == "sqrt":
        return False
    value = exact_value(name, *operands)
    info = np.finfo(type(nearest))
    end = Fraction(2) ** info.maxexp
    return value is not None and abs(value) < end


def _sqrt_neighbours(a, nearest):
    if nearest == 0 or Fraction(float(nearest)) ** 2 == Fraction(float(a)):
        return nearest, nearest
    if Fraction(float(nearest)) ** 2 > Fraction(float(a)):
        return np.nextafter(nearest, type(nearest)(0)), nearest
    return nearest, np.nextafter(nearest, type(nearest)(np.inf))


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=150, deadline=None)
@given(
    triples=st.lists(st.tuples(floats32, floats32, floats32), min_size=1, max_size=40)
)
def test_float32_results_are_floor_or_ceiling(mode, triples):
    _check(mode, np.float32, triples)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=150, deadline=None)
@given(
    triples=st.lists(st.tuples(floats64, floats64, floats64), min_size=1, max_size=40)
)
def test_float64_results_are_floor_or_ceiling(mode, triples):
    _check(mode, np.float64, triples)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_equals_numpy(dtype):
    a, b, c = _wide_operands(dtype)
    results, expected = apply_all("nearest", a, b, c), numpy_results(a, b, c)
    if dtype == np.float64:  # NumPy's extended precision rounds twice
        expected.pop("fma")
    else:  # double rounding through float64 may differ by one ulp on halfway cases
        same = results["fma"] == expected["fma"]
        assert same.mean() > 0.999
        expected.pop("fma")
    for name, value in expected.items():
        np.testing.assert_array_equal(results[name], value, err_msg=name)


def _wide_operands(dtype, count=20_000):
    draw = np.random.default_rng(11)
    span = 30 if dtype == np.float32 else 200
    scale = np.exp2(draw.integers(-span, span, (3, count)))
    values = (draw.uniform(1, 2, (3, count)) * scale).astype(dtype)
    values[1:] *= draw.choice([-1, 1], (2, count)).astype(dtype)
    return values


@pytest.mark.parametrize("precision", [24, 11, 8])
@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_how_often_results_go_up(mode, precision):
    """Half of the time in `random`; as often as the residual says in `nearness`."""
    draw = np.random.default_rng(5)
    a = draw.uniform(1, 2, 200_000).astype(np.float32)
    b = (draw.uniform(1, 2, a.size) * 2.0**-9).astype(np.float32)
    c = (draw.uniform(1, 2, a.size) * 2.0**-3).astype(np.float32)
    results = apply_all(mode, a, b, c, precision=precision)
    wide = [v.astype(np.float64) for v in (a, b, c)]
    exact = {
        "add": wide[0] + wide[1],
        "mul": wide[0] * wide[1],
        "div": wide[0] / wide[1],
        "fma": wide[0] * wide[1] + wide[2],
        "sqrt": np.sqrt(wide[0]),
    }
    for name, value in exact.items():
        _, exponent = np.frexp(value)
        ulp = np.exp2(exponent - float(precision))
        floor = np.floor(value / ulp) * ulp
        residual = (value - floor) / ulp
        inexact = residual > 0
        up = ((results[name] - floor) / ulp)[inexact]
        assert set(np.unique(up)) <= {0.0, 1.0}, name
        chance = residual[inexact] if mode == "nearness" else np.full(up.size, 0.5)
        score = (up - chance).sum() / math.sqrt((chance * (1 - chance)).sum())
        assert abs(score) < 5, f"{name}: {score:.1f} standard errors"
        slope = np.polyfit(residual[inexact], up, 1)[0]
        assert abs(slope - (mode == "nearness")) < 0.02, name


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_float64_rounds_up_as_often_as_it_should(mode):
    draw = np.random.default_rng(6)
    size = 60_000
    a, b = draw.uniform(1, 2, (2, size))
    b *= 2.0**-20
    results = apply_all(mode, a, b, a)
    exact = [Fraction(x) + Fraction(y) for x, y in zip(a, b, strict=True)]
    nearest = a + b
    error = np.array(
        [float(e - Fraction(n)) for e, n in zip(exact, nearest, strict=True)]
    )
    residual = np.where(error < 0, 1 + error * 2.0**52, error * 2.0**52)
    floor = np.where(error < 0, np.nextafter(nearest, 0), nearest)
    inexact = residual > 0
    up = ((results["add"] - floor) * 2.0**52)[inexact]
    chance = residual[inexact] if mode == "nearness" else np.full(up.size, 0.5)
    score = (up - chance).sum() / math.sqrt((chance * (1 - chance)).sum())
    assert set(np.unique(up)) <= {0.0, 1.0}
    assert abs(score) < 5


@pytest.mark.parametrize("mode", ["random", "nearness"])
@pytest.mark.parametrize("name", ["add", "mul", "fma", "cast"])
def test_against_verrou(verrou, mode, name):
    """Same support and frequencies as the stored draws of the real Verrou."""
    arrays, _ = verrou
    case = f"elem_{name}"
    inputs = [v for k, v in sorted(arrays.items()) if k.startswith(f"{case}/in/")]
    inputs += [inputs[-1]] * (3 - len(inputs))
    key_name = "narrow" if name == "cast" else name
    draws = np.stack([apply_all(mode, *inputs, key=k)[key_name] for k in range(200)])
    mean, spread = arrays[f"{case}/{mode}/mean"], arrays[f"{case}/{mode}/std"]
    finite = np.isfinite(mean) & (np.abs(mean) > 1e-36) & np.isfinite(draws).all(0)
    ours = np.where(finite, draws, 0).astype(np.float64)
    still = finite & (spread == 0)
    if mode == "random":  # an unmoved value of 200 draws is an exact one
        np.testing.assert_array_equal(ours.std(0)[still], 0)
    moving = finite & (spread > 0)
    ratio = (ours.std(0, ddof=1)[moving] / spread[moving]) ** 2
    assert moving.sum() > 200
    assert np.median(ratio) == pytest.approx(1, abs=0.06)
    pooled = np.hypot(spread, ours.std(0, ddof=1))[moving] / math.sqrt(200)
    scores = (ours.mean(0)[moving] - mean[moving]) / pooled
    assert np.abs(scores).max() < 6


def test_directed_sums_are_verrous():
    """10**6 additions of 0.1f: the values Verrou gives, to the last bit."""
    sums = {mode: float(_sum_of_tenths(mode)) for mode in ("upward", "downward")}
    assert sums["upward"] == pytest.approx(101362.289, abs=0.004)
    assert sums["downward"] == pytest.approx(97000.07, abs=0.004)
    assert float(_sum_of_tenths("nearest")) == np.float32(100958.34)
    assert 99150 < float(_sum_of_tenths("random")) < 99175
    assert abs(float(_sum_of_tenths("nearness")) - 100000) < 11  # 5 std


@kernel
def _sum_body(term, out, count, key, rounder):
    keep_apart()
    total = np.float32(0)
    word = element_word(key, 0)
    for i in range(count):
        if i % 32 == 0:
            word = element_word(key, i)
        total = add(total, term, word, i, rounder)
    out[0] = total


@kernel
def _sum(term, out, count, key, rounder, direction):
    set_rounding(direction)
    _sum_body(term, out, count, key, rounder)
    set_rounding(NEAREST)


def _sum_of_tenths(mode):
    plan, out = Plan(mode, key=99), np.empty(1, np.float32)
    _sum(np.float32(0.1), out, 10**6, np.uint64(99), plan.rounder, plan.direction)
    return out[0]


def test_reduced_precision_refuses_directed_modes():
    with pytest.raises(ValueError, match="reduced precision"):
        elementary.dither("upward", 11)


def test_primitives_refuse_to_run_as_python():
    with pytest.raises(NotImplementedError, match="inside a kernel"):
        elementary.add(1.0, 2.0, 0, 0, None)
