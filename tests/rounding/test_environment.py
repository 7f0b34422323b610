"""The rounding direction is set where it must be and restored everywhere."""

import os
import platform
import threading

import numpy as np
import pytest

from roundoff.rounding import environment, selftest
from roundoff.rounding.elementary import Dither, Signs
from roundoff.rounding.environment import (
    DIRECTIONS,
    NEAREST,
    adopt_environment,
    captured_environment,
    current_direction,
    nearest_on_exit,
    set_rounding,
)
from roundoff.rounding.kernels.gemm import matmul
from roundoff.rounding.plan import MODES, Plan
from roundoff.rounding.threads import split_range


@pytest.fixture(autouse=True)
def _nearest_before_and_after():
    assert current_direction() == NEAREST
    yield
    assert current_direction() == NEAREST


@pytest.mark.parametrize("name", DIRECTIONS)
def test_direction_changes_arithmetic(name):
    one, tiny = np.float32([1]), np.float32([2**-30])
    with nearest_on_exit():
        assert set_rounding(DIRECTIONS[name]) == 0
        seen = current_direction()
        above, below = one + tiny, -one - tiny
    assert seen == DIRECTIONS[name]
    assert (above > 1) == (name == "upward")
    assert (below < -1) == (name == "downward")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_restored_after_exceptions(error):
    def stop(start, stop):
        set_rounding(DIRECTIONS["downward"])
        raise error

    with pytest.raises(error):
        split_range(stop, 4, threads=1)


def test_exceptions_of_other_threads_are_raised_and_restored():
    seen = {}

    def piece(start, stop):
        set_rounding(DIRECTIONS["upward"])
        seen[start] = threading.get_ident()
        if start:
            raise OSError("from a piece")

    with pytest.raises(OSError, match="from a piece"):
        split_range(piece, 4, threads=2)
    assert len(set(seen.values())) == 2


def test_threads_end_in_nearest():
    directions = []

    def disturb(start, stop):
        set_rounding(DIRECTIONS["toward_zero"])

    def look(start, stop):
        directions.append(current_direction())

    split_range(disturb, 4, threads=2)
    split_range(look, 4, threads=2)
    assert directions == [NEAREST, NEAREST]


def test_threads_take_over_the_flushing_of_subnormals():
    torch = pytest.importorskip("torch")
    before = captured_environment()
    flushed = []

    def look(start, stop):
        smallest = np.full(4, 1e-39, np.float32)
        flushed.append(not (smallest * np.float32(1.5)).any())

    try:
        if not torch.set_flush_denormal(True):
            pytest.skip("this CPU cannot flush subnormals")
        split_range(look, 4, threads=2)
    finally:
        adopt_environment(before)
    split_range(look, 4, threads=2)
    assert flushed == [True, True, False, False]


@pytest.mark.parametrize("mode", MODES)
def test_kernels_leave_nearest(mode):
    a = np.random.default_rng(0).standard_normal((5, 70)).astype(np.float32)
    matmul(a, a.T, plan=Plan(mode, key=1))
    matmul(a.astype(np.float64), a.T.astype(np.float64), plan=Plan(mode, key=1))
    assert current_direction() == NEAREST


def test_selftest_finds_nothing_here():
    assert selftest.failures() == []


def test_selftest_notices_a_wrong_direction(monkeypatch):
    monkeypatch.setitem(selftest.DIRECTIONS, "downward", DIRECTIONS["toward_zero"])
    assert any("add" in problem for problem in selftest.failures())


def test_failed_selftest_falls_back_with_a_warning(monkeypatch):
    monkeypatch.setattr(selftest, "failures", lambda: ["add is broken"])
    environment.environment_works.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="add is broken"):
            assert isinstance(Plan("random").rounder, Dither)
        assert isinstance(Plan("upward").rounder, Signs)
        a = np.random.default_rng(0).standard_normal((40, 300)).astype(np.float32)
        first, second = (matmul(a, a.T, plan=Plan("random", key=k)) for k in (1, 2))
    finally:
        environment.environment_works.cache_clear()
    assert (first != second).mean() > 0.3
    np.testing.assert_allclose(first, a @ a.T, atol=1e-3)


def test_unknown_platform_is_named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "sparc64")
    with pytest.raises(ImportError, match="sparc64"):
        environment._platform_directions()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_threads_work_after_a_fork():
    split_range(lambda start, stop: None, 4, threads=2)
    child = os.fork()
    if child == 0:
        split_range(lambda start, stop: None, 4, threads=2)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
