"""Samples are read in slabs of bounded size, and only when they fit together."""

import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.images.save import save_labels, save_map
from roundoff.images.stack import SampleStack


@pytest.fixture
def volumes(tmp_path):
    rng = np.random.default_rng(0)
    arrays = rng.random((5, 7, 8, 9)).astype(np.float32)
    paths = []
    for i, array in enumerate(arrays):
        paths.append(tmp_path / f"s{i}.nii.gz")
        save_map(paths[-1], array, np.eye(4))
    return arrays, paths


@pytest.mark.parametrize("budget", [1, 3000, 1 << 28])
def test_slabs_join_to_the_volumes(volumes, budget):
    arrays, paths = volumes
    stack = SampleStack(paths, budget)
    parts = [samples for _, samples in stack.slabs()]
    assert np.array_equal(np.concatenate(parts, axis=3), arrays)
    assert max(p.nbytes for p in parts) <= max(budget, 5 * 7 * 8 * 4)


def test_dtype_is_the_stored_one(volumes):
    _, paths = volumes
    _, samples = next(SampleStack(paths).slabs())
    assert samples.dtype == np.float32


@pytest.mark.parametrize("change", ["shape", "affine", "dtype"])
def test_a_sample_on_another_grid_is_named(volumes, tmp_path, change):
    _, paths = volumes
    odd = tmp_path / "odd.nii.gz"
    if change == "shape":
        save_map(odd, np.zeros((7, 8, 10)), np.eye(4))
    elif change == "affine":
        save_map(odd, np.zeros((7, 8, 9)), np.diag([1, 1, 1.1, 1]))
    else:
        save_labels(odd, np.zeros((7, 8, 9), int), np.eye(4))
    with pytest.raises(RoundoffError, match=r"odd\.nii\.gz"):
        SampleStack([*paths, odd])


def test_labels_keep_their_values(tmp_path):
    labels = np.array([0, 17, 2035]).reshape(3, 1, 1)
    save_labels(tmp_path / "l.nii.gz", labels, np.eye(4))
    _, read = next(SampleStack([tmp_path / "l.nii.gz"]).slabs())
    assert np.array_equal(read[0], labels)


def test_saved_bytes_repeat(tmp_path):
    values = np.random.default_rng(3).random((5, 6, 7)).astype(np.float32)
    for name in ("a.nii.gz", "b.nii.gz"):
        save_map(tmp_path / name, values, np.eye(4), (0, 24))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_failing_writer_leaves_nothing(tmp_path):
    with pytest.raises(RoundoffError, match="integers"):
        save_labels(tmp_path / "l.nii.gz", np.zeros((2, 2, 2)), np.eye(4))
    assert list(tmp_path.iterdir()) == []
