"""Random bits: repeatable, unrelated between neighbours, balanced."""

import subprocess
import sys

import numba
import numpy as np
import pytest

from roundoff.rounding.streams import (
    derived_key,
    element_word,
    mix32,
    mix64,
    step_word,
    stream_key,
)


@numba.njit
def words(key, count):
    out = np.empty(count, np.uint32)
    for i in range(count):
        out[i] = element_word(key, i)
    return out


@numba.njit
def chained(key, elements, steps):
    out = np.empty((elements, steps), np.uint32)
    for i in range(elements):
        for k in range(steps):
            out[i, k] = step_word(element_word(key, i), k)
    return out


@numba.njit
def tiles(key, count):
    out = np.empty(count, np.uint64)
    for i in range(count):
        out[i] = derived_key(key, i)
    return out


@numba.njit
def mixed64(values):
    out = np.empty(values.size, np.uint64)
    for i in range(values.size):
        out[i] = mix64(values[i])
    return out


@numba.njit
def mixed32(values):
    out = np.empty(values.size, np.uint32)
    for i in range(values.size):
        out[i] = mix32(values[i])
    return out


def bits(values):
    """Bits of unsigned integers, last axis, least significant first."""
    width = values.dtype.itemsize * 8
    shifts = np.arange(width, dtype=values.dtype)
    return ((values[..., None] >> shifts) & values.dtype.type(1)).astype(np.int8)


def test_known_values_of_splitmix():
    """First outputs of SplitMix64 with seed 0 (its authors' reference code)."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([golden, 2 * golden % 2**64, 3 * golden % 2**64], np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mixed64(states).tolist() == expected


def test_keys_depend_on_every_part_of_the_identity():
    identities = [(1,), (2,), (1, 0), (1, 1), (1, "a"), (1, "a", 1), (1, "a", 2)]
    assert len({stream_key(*identity) for identity in identities}) == len(identities)
    assert stream_key(1, "a", 2) == stream_key(1, "a", 2)


def test_keys_are_the_same_in_every_process():
    code = "from roundoff.rounding.streams import stream_key as k; print(k(3, 'x', 1))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) == stream_key(3, "x", 1)


@pytest.mark.parametrize("mixer", [mixed64, mixed32])
def test_every_input_bit_changes_half_of_the_output_bits(mixer):
    kind = np.uint64 if mixer is mixed64 else np.uint32
    width = kind(0).itemsize * 8
    values = np.random.default_rng(1).integers(0, 2**width, 4000, dtype=kind)
    base = mixer(values)
    for bit in range(width):
        flipped = bits(mixer(values ^ (kind(1) << kind(bit))) ^ base).mean(axis=0)
        assert np.abs(flipped - 0.5).max() < 6 * 0.5 / np.sqrt(4000)


def _assert_unrelated(a, b):
    """Bits of two arrays agree half of the time, position by position."""
    agreement = (bits(a) == bits(b)).mean(axis=0)
    assert np.abs(agreement - 0.5).max() < 6 * 0.5 / np.sqrt(a.size)


def test_words_are_balanced_and_unrelated_to_their_neighbours():
    first = words(np.uint64(stream_key(5)), 100_000)
    assert np.abs(bits(first).mean(axis=0) - 0.5).max() < 6 * 0.5 / np.sqrt(1e5)
    for lag in (1, 2, 16, 48, 64):
        _assert_unrelated(first[:-lag], first[lag:])
    _assert_unrelated(first, words(np.uint64(stream_key(5) + 1), 100_000))
    _assert_unrelated(first, words(np.uint64(stream_key(6)), 100_000))


def test_steps_of_one_element_are_unrelated():
    steps = chained(np.uint64(stream_key(8)), 20_000, 6)
    for k in range(5):
        _assert_unrelated(steps[:, k].copy(), steps[:, k + 1].copy())
    _assert_unrelated(steps[:-1, 3].copy(), steps[1:, 3].copy())


def test_neighbouring_tiles_have_unrelated_keys():
    keys = tiles(np.uint64(17), 50_000)
    assert np.unique(keys).size == keys.size
    _assert_unrelated(keys[:-1], keys[1:])


def test_upper_bits_are_uniform():
    counts = np.bincount(words(np.uint64(2), 256_000) >> np.uint32(24), minlength=256)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 140 < chi_square < 390  # 255 degrees of freedom, six standard deviations
