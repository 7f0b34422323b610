"""The demo classes: ids, sides and the sagittal expansion agree with each other."""

import numpy as np
import pytest

from roundoff.models.labels import load_class_table
from roundoff.training.segmentation.classes import (
    freesurfer_ids,
    from_freesurfer,
    load_classes,
    mirror_table,
    sagittal_expansion,
)


def test_table_is_the_one_the_pipeline_reads():
    table = load_class_table("demo_aseg")
    assert list(table.ids) == freesurfer_ids()
    assert list(table.sagittal) == sagittal_expansion()


def test_indices_count_up_and_ids_are_sorted_and_unique():
    classes = load_classes()
    assert [c.index for c in classes] == list(range(len(classes)))
    assert freesurfer_ids() == sorted(set(freesurfer_ids()))
    assert classes[0].id == 0


def test_expansion_merges_exactly_the_two_sides_of_a_structure():
    by_sagittal = {}
    for c in load_classes():
        by_sagittal.setdefault(c.sagittal_index, set()).add(c.structure)
    assert all(len(structures) == 1 for structures in by_sagittal.values())
    assert sorted(by_sagittal) == list(range(len(by_sagittal)))
    sides = [c for c in load_classes() if c.name != c.structure]
    assert len(load_classes()) == len(by_sagittal) + len(sides) // 2


def test_mirror_is_an_involution_that_keeps_the_structure():
    table, classes = mirror_table(), load_classes()
    assert (table[table] == np.arange(len(classes))).all()
    for c in classes:
        other = classes[table[c.index]]
        assert other.structure == c.structure
        assert (other.name == c.name) == (c.name == c.structure)


@pytest.mark.parametrize(
    ("freesurfer", "expected"),
    [
        (2, "Left-Cerebral-White-Matter"),
        (1028, "Left-Cerebral-Cortex"),
        (2035, "Right-Cerebral-Cortex"),
        (3001, "Left-Cerebral-White-Matter"),
        (4028, "Right-Cerebral-White-Matter"),
        (5002, "Right-Cerebral-White-Matter"),
        (31, "Left-Lateral-Ventricle"),
        (63, "Right-Lateral-Ventricle"),
        (253, "Left-Cerebral-White-Matter"),
        (16, "Brain-Stem"),
        (85, "Background"),
        (9999, "Background"),
    ],
)
def test_ids_become_classes(freesurfer, expected):
    found = from_freesurfer(np.array([freesurfer]))
    assert load_classes()[found[0]].name == expected


def test_callosum_takes_the_side_it_lies_on():
    found = from_freesurfer(np.array([251, 255]), np.array([True, False]))
    assert [load_classes()[i].id for i in found] == [2, 41]
