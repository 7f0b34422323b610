"""Slicing and putting back, against numpy's axis moves."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roundoff.models.fastsurfer.views import VIEWS, WEIGHTS, expand_classes
from roundoff.models.labels import load_class_table

MOVES = {"axial": [1, 2, 0], "coronal": [0, 1, 2], "sagittal": [2, 1, 0]}
BACK = {"axial": (3, 0, 2, 1), "coronal": (2, 3, 0, 1), "sagittal": (0, 3, 2, 1)}
# Sagittal network's row for each of the 79 classes, as FastSurfer lists them.
SAGITTAL = [0, *range(5, 14), 1, 2, 3, 14, 15, 4, 16, 17, 18, *range(5, 51)]
SAGITTAL += [20, 22, 27, 29, 30, 31, 33, 34, 38, 39, 40, 41, 42, 45]

volumes = st.tuples(*[st.integers(2, 9)] * 3).map(
    lambda shape: np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
)


@pytest.mark.parametrize("name", VIEWS)
@given(volume=volumes)
def test_slices_are_those_of_the_moved_volume_with_edge_padding(name, volume):
    view = VIEWS[name]
    moved = np.moveaxis(volume, [0, 1, 2], MOVES[name])
    padded = np.pad(moved, ((0, 0), (0, 0), (3, 3)), mode="edge")
    numbers = torch.arange(view.count(volume.shape))
    slices = view.slices(torch.from_numpy(volume), numbers, 7)
    assert len(slices) == moved.shape[2]
    for s, found in enumerate(slices):
        assert np.array_equal(found, padded[:, :, s : s + 7].transpose(2, 0, 1))


@pytest.mark.parametrize("name", VIEWS)
@given(volume=volumes)
def test_a_view_put_back_is_the_volume(name, volume):
    view = VIEWS[name]
    assert view.back == BACK[name]
    slices = view.slices(
        torch.from_numpy(volume), torch.arange(view.count(volume.shape)), 1
    )
    assert np.array_equal(slices.permute(view.back)[..., 0], volume)


@pytest.mark.parametrize("name", VIEWS)
def test_a_section_holds_the_slices_it_names(name):
    volume = torch.arange(5 * 6 * 7).reshape(5, 6, 7)
    view = VIEWS[name]
    slices = view.slices(volume, torch.arange(1, 4), 1)
    assert torch.equal(slices.permute(view.back)[..., 0], volume[view.section(1, 4)])


def test_weights_of_the_views():
    assert WEIGHTS == {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}


def test_sagittal_classes_stand_for_both_sides():
    table = load_class_table("fastsurfer_79")
    assert list(table.sagittal) == SAGITTAL
    assert table.sagittal_classes == 51
    logits = torch.arange(51.0).reshape(1, 51, 1, 1).expand(2, 51, 3, 4)
    full = expand_classes(logits, table.sagittal)
    assert full[1, :, 2, 3].tolist() == [float(k) for k in SAGITTAL]
