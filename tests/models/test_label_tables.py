"""Label tables: shipped ones are consistent, wrong ones name line and column."""

import re

import pytest

from roundoff.errors import RoundoffError
from roundoff.models.labels import load_class_table, load_label_table, table_names

# The 79 labels FastSurfer's networks are trained on, in order.
FASTSURFER = [0, 2, 4, 5, 7, 8, *range(10, 19), 24, 26, 28, 31, 41, 43, 44, 46, 47]
FASTSURFER += [49, 50, 51, 52, 53, 54, 58, 60, 63, 77, 1002, 1003]
FASTSURFER += [*range(1005, 1032), 1034, 1035]
FASTSURFER += [2002, 2005, 2010, 2012, 2013, 2014, 2016, 2017, 2021, 2022, 2023]
FASTSURFER += [2024, 2025, 2028]


@pytest.mark.parametrize("name", table_names())
def test_shipped_tables_are_sound(name):
    labels = load_label_table(name)
    assert labels[0].index == 0
    assert len({label.index for label in labels}) == len(labels)
    assert len({label.name for label in labels}) == len(labels)
    assert all(re.fullmatch("#[0-9a-f]{6}", label.color) for label in labels)


def test_fastsurfers_classes():
    table = load_class_table("fastsurfer_79")
    assert list(table.ids) == FASTSURFER
    assert len(table) == 79


def test_classes_without_a_side_are_named_alike():
    for name in table_names():
        table = load_class_table(name)
        if table.sagittal is None:
            continue
        names = {}
        for label, row in zip(table.labels, table.sagittal, strict=True):
            side = re.sub("^(Left|Right|ctx-lh|ctx-rh)-", "", label.name)
            assert names.setdefault(row, side) == side
        assert sorted(names) == list(range(table.sagittal_classes))


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("index\tname\tcolor\n0\tAir\t#000000\n7\tBrain\t#ff0000\n")
    assert [label.index for label in load_label_table(str(path))] == [0, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\tname\tcolor\n", "has no rows"),
        ("index\tname\tcolor\nx\tA\t#000000\n", "line 2: column 'index' holds 'x'"),
        ("index\tname\tcolor\n1\t\t#000000\n", "line 2: no name"),
        ("index\tname\n1\tA\n", "column 'red' holds None"),
        (
            "index\tname\tcolor\n1\tA\t#000000\n1\tB\t#000000\n",
            r"values \[1\] occur twice",
        ),
    ],
)
def test_wrong_tables_name_the_line(tmp_path, text, message):
    path = tmp_path / "wrong.tsv"
    path.write_text(text)
    with pytest.raises(RoundoffError, match=message):
        load_label_table(str(path))


def test_unknown_tables_get_a_suggestion():
    with pytest.raises(RoundoffError, match="Did you mean 'brain_mask'"):
        load_label_table("brainmask")
    with pytest.raises(RoundoffError, match="no file"):
        load_label_table("nowhere.tsv")
