"""Bits per voxel: against a plain numpy oracle, and the traps of real images."""

import math
import weakref
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2, norm

from roundoff.errors import RoundoffError
from roundoff.uncertainty.significant_bits import (
    BitsSettings,
    State,
    average_components,
    bits_of_slab,
    cnh_bracket,
    concatenate,
    identical_bound,
    significant_bits,
)

ABSOLUTE = BitsSettings(error="absolute")


def oracle(samples, cap=23):
    """General and CNH, relative error, straight from the definitions."""
    x = samples.astype(float)
    z = x / x.mean(0) - 1
    general = np.clip(np.floor(-np.log2(np.abs(z).max(0))), 0, cap)
    n = len(x)
    bracket = 0.5 * np.log2((n - 1) / chi2.ppf(0.025, n - 1)) + np.log2(norm.ppf(0.975))
    return general, np.clip(-np.log2(z.std(0)) - bracket, 0, cap)


def noisy(n=10, voxels=200, bits=15, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 300, voxels) * rng.choice([-1, 1], voxels)
    return (base * (1 + 2.0**-bits * rng.uniform(-1, 1, (n, voxels)))).astype(dtype)


@pytest.mark.parametrize("n", [2, 5, 10, 30])
@pytest.mark.parametrize("bits", [-1, 3, 15, 21])
def test_agrees_with_the_oracle(n, bits):
    samples = noisy(n, bits=bits)
    got = bits_of_slab(samples)
    varying = got.state == State.MEASURED
    general, cnh = oracle(samples[:, varying])
    assert varying.sum() > 150
    np.testing.assert_array_equal(got.general[varying], general)
    np.testing.assert_allclose(got.cnh[varying], cnh, atol=1e-5)


def test_golden_voxels():
    """Ten float32 samples with the largest relative error known exactly."""
    step = np.array([1, -1] * 5, np.float32)[:, None]
    samples = np.float32(1) + step * np.float32([2**-4, 2**-10, 2**-15, 2**-23, 0])
    got = bits_of_slab(samples)
    assert got.general.tolist() == [4, 10, 15, 23, 23]
    assert got.cnh[:3] == pytest.approx(np.array([4, 10, 15]) - 1.8391, abs=1e-3)
    assert got.state.tolist() == [State.MEASURED] * 4 + [State.IDENTICAL]
    assert got.max_error.tolist() == [2**-4, 2**-10, 2**-15, 2**-23, 0]
    assert got.std[0] == pytest.approx(2**-4 * math.sqrt(10 / 9))


def test_identical_voxels_get_the_documented_bounds():
    for n, cnh in ((5, 20.51), (10, 21.16), (30, 21.60)):
        got = bits_of_slab(np.full((n, 1), np.float32(0.1)))
        assert got.general == [23]
        assert got.cnh[0] == pytest.approx(cnh, abs=0.005)
        assert identical_bound("cnh", n) == pytest.approx(got.cnh[0], abs=1e-5)
    assert identical_bound("general", 10) == 23
    assert [round(cnh_bracket(n), 3) for n in (5, 10, 20, 30)] == [
        2.494,
        1.839,
        1.517,
        1.398,
    ]


@given(arrays(np.float64, 1, elements=st.floats(-1e30, 1e30, width=64)))
def test_identical_float64_samples_are_exact_whatever_their_value(value):
    got = bits_of_slab(np.repeat(value[None], 7, axis=0), settings=ABSOLUTE)
    assert got.state == [State.IDENTICAL]
    assert got.general == [52]
    assert got.std == [0]
    assert got.mean == value


def test_one_bad_voxel_leaves_its_neighbours_alone():
    """Older versions of the package zero the whole map here."""
    samples = noisy(voxels=6)
    alone = bits_of_slab(samples).general
    samples[:, 1] = 0
    samples[:, 2] = np.nan
    samples[3, 3] = np.inf
    samples[:, 4] = [1, -1] * 5
    got = bits_of_slab(samples, mask=np.array([1, 1, 1, 1, 1, 0], bool))
    assert got.state.tolist() == [
        State.MEASURED,
        State.UNDEFINED,  # all zero: 0/0
        State.UNDEFINED,  # never finite
        State.TOO_FEW,  # finite in nine of ten
        State.UNDEFINED,  # mean zero with a spread
        State.MASKED,
    ]
    assert got.general[0] == alone[0]
    assert np.isnan(got.general[1:]).all()
    assert np.isnan(got.cnh[1:]).all()
    assert got.std[4] == pytest.approx(math.sqrt(10 / 9))  # in units it is defined
    assert np.isnan(got.std[[2, 3, 5]]).all()


def test_absolute_error_is_defined_at_zero_mean():
    samples = np.zeros((10, 2), np.float32)
    samples[:, 1] = np.array([1, -1] * 5) * 2.0**-9
    got = bits_of_slab(samples, settings=ABSOLUTE)
    assert got.state.tolist() == [State.IDENTICAL, State.MEASURED]
    assert got.general.tolist() == [23, 9]


def test_absolute_error_scales_with_the_power_of_two_below_the_mean():
    """s = floor(-log2 max|Z|) + e - 1 with e = floor(log2 |ref|) + 1."""
    samples = noisy(bits=12)
    got = bits_of_slab(samples, settings=ABSOLUTE)
    x = samples.astype(float)
    exponent = np.floor(np.log2(np.abs(x.mean(0))))
    worst = np.abs(x - x.mean(0)).max(0)
    expected = np.floor(-np.log2(worst) + exponent)
    np.testing.assert_array_equal(got.general, expected)


@pytest.mark.parametrize("error", ["relative", "absolute"])
@given(scale=st.integers(-20, 20), seed=st.integers(0, 99))
def test_a_power_of_two_changes_nothing(error, scale, seed):
    samples = noisy(5, 20, seed=seed)
    settings = BitsSettings(error=error)
    one = bits_of_slab(samples, settings=settings)
    other = bits_of_slab(samples * np.float32(2.0**scale), settings=settings)
    np.testing.assert_array_equal(one.general, other.general)
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_allclose(one.cnh, other.cnh, atol=1e-6)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_blocks_give_the_map_of_the_whole(sizes):
    samples = noisy(4, sum(sizes), seed=len(sizes))
    mask = np.arange(sum(sizes)) % 3 > 0
    cuts = np.cumsum(sizes)[:-1]
    blocks = zip(np.split(samples, cuts, 1), np.split(mask, cuts), strict=True)
    whole, joined = bits_of_slab(samples, mask), significant_bits(blocks)
    for field in fields(whole):
        first, second = getattr(whole, field.name), getattr(joined, field.name)
        np.testing.assert_array_equal(first, second)


def test_blocks_are_released_one_after_the_other():
    """Memory is that of the result and two blocks, however many there are."""
    alive = []

    def blocks():
        for seed in range(8):
            assert sum(reference() is not None for reference in alive) <= 2
            block = noisy(voxels=10, seed=seed)
            alive.append(weakref.ref(block))
            yield block, None

    assert significant_bits(blocks()).state.size == 80


@given(st.permutations(range(6)))
def test_order_of_samples_hardly_matters(order):
    samples = noisy(6, 50)
    one, other = bits_of_slab(samples), bits_of_slab(samples[order])
    np.testing.assert_allclose(one.cnh, other.cnh, atol=1e-5)
    np.testing.assert_array_equal(one.state, other.state)


def test_cnh_stays_within_the_mantissa():
    """One last bit flipped in one of 30 samples scores 23.1 bits unless capped."""
    samples = np.full((30, 2), np.float32(1.99))
    samples[0, 0] = np.nextafter(samples[0, 0], np.float32(2))
    samples[:, 1] = np.random.default_rng(0).normal(1e-3, 9, 30)
    got = bits_of_slab(samples)
    assert got.cnh[0] == 23
    assert got.cnh[1] == 0


def test_components_take_the_worst_state_and_the_mean_of_bits():
    samples = np.ones((4, 6), np.float32)
    samples[:, 3] += np.array([1, -1, 1, -1], np.float32) * 2.0**-5
    samples[:, 4] = 0
    merged = average_components(bits_of_slab(samples[:, :6]), 3)
    assert merged.state.tolist() == [State.IDENTICAL, State.UNDEFINED]
    assert merged.general[0] == 23
    assert np.isnan(merged.general[1])
    assert merged.mean[0] == pytest.approx(math.sqrt(3))
    samples[:, 4] = 1
    merged = average_components(bits_of_slab(samples), 3)
    assert merged.state[1] == State.MEASURED
    assert merged.general[1] == pytest.approx((5 + 23 + 23) / 3)
    assert merged.max_error[1] == pytest.approx(2.0**-5)
    with pytest.raises(RoundoffError, match="do not split into 4"):
        average_components(bits_of_slab(samples), 4)


def test_empty_mask_and_empty_block():
    got = bits_of_slab(noisy(voxels=3), mask=np.zeros(3, bool))
    assert (got.state == State.MASKED).all()
    assert bits_of_slab(np.empty((2, 0), np.float32)).state.size == 0


@pytest.mark.parametrize(
    ("samples", "mask", "message"),
    [
        (np.ones((1, 3), np.float32), None, "at least 2"),
        (np.ones((3, 3), np.float16), None, "dtype float16"),
        (np.ones((3, 3), np.int16), None, "get_fdata"),
        (np.ones(3, np.float32), None, r"expected \(N samples, V voxels\)"),
        (np.ones((3, 3), np.float32), np.ones(2, bool), "mask: shape"),
    ],
)
def test_refuses(samples, mask, message):
    with pytest.raises(RoundoffError, match=message):
        bits_of_slab(samples, mask)


def test_refuses_no_blocks():
    with pytest.raises(RoundoffError, match="none given"):
        concatenate([])


def test_float64_copies_of_float32_samples_fall_into_the_dtype_trap():
    """Why the dtype of the samples must be the model's: the same data score 52."""
    samples = np.full((10, 1), np.float32(0.3))
    assert bits_of_slab(samples).general == [23]
    assert bits_of_slab(samples.astype(np.float64)).general == [52]
