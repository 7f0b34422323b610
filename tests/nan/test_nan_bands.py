"""The path without compiled kernels: bands of rows give the same results."""

import warnings

import nan_oracles as oracle
import numpy as np
import pytest
import torch

import roundoff.nan as rn
from roundoff.nan import bands, kernels

NAN = float("nan")


def head(channels, scattered, dtype):
    """NaN around a disc, and some within it."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, channels, 70, 40))
    rows, columns = np.ogrid[-1:1:70j, -1:1:40j]
    gone = rows**2 + (columns / 0.8) ** 2 > 0.4
    x[:, :, gone] = NAN
    x[rng.random(x.shape) < scattered] = NAN
    x[0, 0, 35, 20] = np.inf
    return torch.tensor(x, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scattered", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("fill", ["mean", "zero"])
@pytest.mark.parametrize("groups", [1, 2])
def test_bands_agree_with_loops(monkeypatch, dtype, scattered, fill, groups):
    monkeypatch.setattr(kernels, "library", lambda: None)
    used = []
    active = bands.active_bands
    monkeypatch.setattr(
        bands, "active_bands", lambda mask: used.append(1) or active(mask)
    )
    x = head(4, scattered, dtype)
    rng = np.random.default_rng(3)
    weight = torch.tensor(rng.standard_normal((4, 4 // groups, 3, 5)), dtype=dtype)
    where = ((2, 1), (1, 2), (1, 2), groups)
    got = rn.nan_conv2d(x, weight, None, *where, threshold=0.5, fill=fill)
    arrays = x.double().numpy(), weight.double().numpy()
    want, skipped, total = oracle.conv(*arrays, None, *where, 0.5, fill)
    assert skipped > bands.LEAST * total
    assert used
    tolerance = {torch.bfloat16: 5e-2, torch.float32: 1e-4, torch.float64: 1e-10}[dtype]
    np.testing.assert_allclose(got.double(), want, rtol=tolerance, atol=2 * tolerance)


def test_bands_hold_every_active_position():
    rng = np.random.default_rng(0)
    skipped = torch.tensor(rng.random((2, 1, 75, 33)) < 0.999)
    covered = torch.zeros(75, 33, dtype=torch.bool)
    for rows, columns in bands.active_bands(skipped):
        covered[rows, columns] = True
    assert covered[~skipped.flatten(0, 1).all(0)].all()
    assert not list(bands.active_bands(torch.ones(1, 1, 9, 9, dtype=torch.bool)))


def test_a_missing_extension_is_told_once(monkeypatch):
    monkeypatch.setattr(kernels, "LIBRARY", "_no_such_library")
    kernels.library.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            usable = [kernels.usable(torch.zeros(1, 1, 2, 2)) for _ in range(3)]
        assert not any(usable)
        assert len(told) == 1
        assert "install a C compiler" in str(told[0].message)
    finally:
        kernels.library.cache_clear()
