"""Cortical labels without a side get one."""

import numpy as np
import pytest

from roundoff.models.fastsurfer.sides import BY_REGION, split_sides
from roundoff.models.labels import load_class_table, load_label_table


@pytest.fixture
def head():
    """Left white matter at low x, right at high x (as in LIA turned round)."""
    labels = np.zeros((40, 20, 20), np.int32)
    labels[4:16, 4:16, 4:16] = 2
    labels[24:36, 4:16, 4:16] = 41
    return labels


def test_regions_go_to_the_nearer_white_matter(head):
    head[2:4, 8:12, 8:12] = 1003
    head[36:38, 8:12, 8:12] = 1003
    split = split_sides(head)
    assert (split[2:4, 8:12, 8:12] == 1003).all()
    assert (split[36:38, 8:12, 8:12] == 2003).all()


def test_a_region_crossing_the_middle_stays_whole_unless_it_is_split_by_voxel(head):
    head[14:24, 16:18, 8:12] = 1003
    head[14:30, 2:4, 8:12] = 1026
    split = split_sides(head)
    assert len(np.unique(split[14:24, 16:18, 8:12])) == 1
    crossing = split[14:30, 2:4, 8:12]
    assert (crossing[:5] == 1026).all()
    assert (crossing[-5:] == 2026).all()


def test_other_labels_and_the_input_stay_as_they_were(head):
    head[10, 18, 10], head[30, 18, 10] = 1022, 17
    before = head.copy()
    split = split_sides(head)
    assert np.array_equal(head, before)
    assert np.array_equal(split, before)  # 1022 has a right twin among the classes


def test_without_white_matter_nothing_is_guessed():
    labels = np.full((4, 4, 4), 1003, np.int32)
    with pytest.warns(UserWarning, match="no white matter on one side"):
        assert np.array_equal(split_sides(labels), labels)


def test_split_labels_are_the_95_of_the_output_table():
    classes = set(load_class_table("fastsurfer_79").ids)
    output = {label.index for label in load_label_table("fastsurfer_dkt")}
    assert output == classes | {label + 1000 for label in BY_REGION}
    assert len(output) == 96
