"""Bad volumes are refused with the file, the field and the fix."""

import gzip

import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.images.check import check_volumes, load_volume


def refused(path, *words):
    with pytest.raises(RoundoffError) as error:
        load_volume(path, "subjects[01].path")
    message = str(error.value)
    assert "subjects[01].path" in message
    assert str(path) in message
    for word in words:
        assert word in message


def test_good_volume_is_loaded_in_full(write_phantom):
    image = load_volume(write_phantom())
    assert image.shape == (40, 48, 44)
    assert np.asarray(image.dataobj).max() > 400


def test_missing_file(tmp_path):
    refused(tmp_path / "none.nii.gz", "no file")


def test_unknown_format(tmp_path):
    path = tmp_path / "scan.dcm"
    path.write_bytes(b"x")
    refused(path, "dcm2niix")


def test_empty_file(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.touch()
    refused(path, "0 bytes")


@pytest.mark.parametrize("keep", [0.5, 0.999, -8])
def test_truncated_file(write_phantom, keep):
    path = write_phantom()
    content = path.read_bytes()
    size = keep if keep < 0 else int(len(content) * keep)
    path.write_bytes(content[:size])
    refused(path, "damaged or truncated")


def test_every_flipped_bit_is_noticed(write_phantom):
    path = write_phantom()
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.integers(20, len(content), 12):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(RoundoffError):
            load_volume(path)


def test_not_an_image(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"not an image"))
    refused(path, "cannot be read")


def test_four_dimensions(write_phantom):
    refused(write_phantom(values=np.ones((8, 8, 8, 3), np.int16)), "4 dimensions")


def test_trailing_dimension_of_one_is_dropped(write_phantom):
    values = np.arange(512, dtype=np.int16).reshape(8, 8, 8, 1)
    assert load_volume(write_phantom(values=values)).shape == (8, 8, 8)


def test_nan(write_phantom):
    values = np.ones((8, 8, 8), np.float32)
    values[0, 0, :3] = [np.nan, np.inf, 2]
    refused(write_phantom(values=values), "2 NaN or infinite")


def test_constant(write_phantom):
    refused(write_phantom(values=np.ones((8, 8, 8), np.int16)), "constant")


def test_checks_are_remembered_until_the_file_changes(write_phantom, tmp_path):
    path, cache = write_phantom(), tmp_path / "cache.json"
    check_volumes({"a": path}, cache)
    before = cache.read_text()
    check_volumes({"a": path}, cache)
    assert cache.read_text() == before
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RoundoffError):
        check_volumes({"a": path}, cache)
