"""Files appear whole or not at all."""

import pytest

from roundoff.atomic import atomic_path, write_json


def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    before = path.read_text()
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_suffixes_survive_for_writers_that_look_at_them(tmp_path):
    with atomic_path(tmp_path / "x" / "a.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("")
    assert (tmp_path / "x" / "a.nii.gz").stat().st_mode & 0o444
