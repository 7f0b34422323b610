"""Aggregation needs no more memory for many samples than for few."""

import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from roundoff.aggregate import measure_labels, measure_map
from roundoff.images.stack import SampleStack
from roundoff.models.base import MapSpec
from roundoff.uncertainty.significant_bits import BitsSettings

SHAPE = (48, 48, 64)
BUDGET = 1 << 20  # bytes of a slab; a float32 sample of this shape is 0.6 MB
OPEN_FILE = 200_000  # bytes: what an open compressed file buffers, whatever its size


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Fifty samples, of a map and of labels."""
    folder = tmp_path_factory.mktemp("samples")
    random = np.random.default_rng(0)
    base = random.normal(size=SHAPE).astype(np.float32)
    maps, labels = [], []
    for i in range(50):
        noisy = base + random.normal(scale=1e-4, size=SHAPE).astype(np.float32)
        for paths, kind, values in (
            (maps, "map", noisy),
            (labels, "labels", (noisy > 0).astype(np.int16)),
        ):
            path = folder / f"{kind}-{i:02d}.nii.gz"
            nib.save(nib.Nifti1Image(values, np.eye(4)), path)
            paths.append(path)
    return maps, labels


@pytest.fixture(autouse=True)
def small_budget(monkeypatch):
    monkeypatch.setattr(SampleStack.__init__, "__defaults__", (BUDGET,))


def peak(function) -> int:
    """Peak of what Python and NumPy allocate during a call, in bytes."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_map_does_not_grow_with_the_samples(samples):
    maps, _ = samples
    mask = np.ones(SHAPE, dtype=bool)
    settings = BitsSettings()

    def measure(number):
        return lambda: measure_map(maps[:number], MapSpec("x", "x"), mask, settings)

    measure(2)()  # imports and caches
    few, many = peak(measure(5)), peak(measure(50))
    assert (many - few) / 45 < OPEN_FILE
    assert many < 50 * 4 * np.prod(SHAPE)  # less than the samples themselves


def test_memory_of_labels_does_not_grow_with_the_samples(samples):
    _, labels = samples

    def measure(number):
        return lambda: measure_labels(labels[:number], {0: "air", 1: "head"})

    measure(2)()
    few, many = peak(measure(5)), peak(measure(50))
    assert (many - few) / 45 < OPEN_FILE
    assert many < 50 * 2 * np.prod(SHAPE)
