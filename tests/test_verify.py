"""A stored sample that is not what its sidecar says is refused."""

import gzip
import shutil

import numpy as np
import pytest

from roundoff.checksums import sha256_of_array, sha256_of_file
from roundoff.errors import RoundoffError
from roundoff.images.save import save_labels, save_map
from roundoff.verify import require_grid, verify_samples

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def stored(tmp_path):
    """Three float32 maps and their records."""
    rng = np.random.default_rng(1)
    paths, records = [], []
    for i in range(3):
        values = rng.normal(size=(9, 8, 7)).astype(np.float32)
        values[0, 0, : i + 1] = np.nan
        path = tmp_path / f"{i}.nii.gz"
        save_map(path, values, AFFINE)
        paths.append(path)
        records.append(
            {
                "Sample": i + 1,
                "OutputSha256": {"map_x": sha256_of_array(values)},
                "OutputDtype": {"map_x": values.dtype.str},
            }
        )
    return paths, records


def refusal(paths, records, role="map_x"):
    with pytest.raises(RoundoffError) as error:
        verify_samples(paths, role, records)
    return str(error.value)


def test_sound_samples_pass_and_their_nan_are_counted(stored):
    assert verify_samples(stored[0], "map_x", stored[1]) == 1 + 2 + 3


def test_labels_may_be_stored_in_a_smaller_type(tmp_path):
    labels = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    save_labels(tmp_path / "l.nii.gz", labels, AFFINE)
    record = {
        "Sample": 1,
        "OutputSha256": {"labels": sha256_of_array(labels)},
        "OutputDtype": {"labels": labels.dtype.str},
    }
    assert verify_samples([tmp_path / "l.nii.gz"], "labels", [record]) == 0


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9, 0.999])
def test_one_flipped_bit_is_found(stored, place):
    paths, records = stored
    content = bytearray(paths[1].read_bytes())
    content[int(place * len(content))] ^= 16
    paths[1].write_bytes(content)
    assert "1.nii.gz" in refusal(paths, records)


@pytest.mark.parametrize("left", [0.5, 0.99])
def test_a_truncated_file_is_found(stored, left):
    paths, records = stored
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[: int(left * len(content))])
    assert "sample 3" in refusal(paths, records)


def test_a_sample_copied_over_another_is_found(stored):
    paths, records = stored
    shutil.copy(paths[0], paths[1])
    message = refusal(paths, records)
    assert "1.nii.gz" in message
    assert "sample 2" in message


def test_a_value_changed_inside_a_sound_file_is_found(stored):
    paths, records = stored
    content = bytearray(gzip.decompress(paths[0].read_bytes()))
    content[-1] ^= 1
    paths[0].write_bytes(gzip.compress(content))
    assert "SHA-256 differs" in refusal(paths, records)


def test_a_sample_without_a_finite_value_is_refused(tmp_path):
    values = np.full((3, 3, 3), np.nan, np.float32)
    save_map(tmp_path / "x.nii.gz", values, AFFINE)
    record = {
        "Sample": 1,
        "OutputSha256": {"map_x": sha256_of_array(values)},
        "OutputDtype": {"map_x": "<f4"},
    }
    assert "no voxel is finite" in refusal([tmp_path / "x.nii.gz"], [record])


@pytest.mark.parametrize(
    ("shape", "affine", "other_input", "words"),
    [
        ((9, 8, 7), AFFINE, False, None),
        ((9, 8, 6), AFFINE, False, r"shape \(9, 8, 7\)"),
        ((9, 8, 7), np.diag([2.0, 2.0, -2.0, 1.0]), False, "affine"),
        ((9, 8, 7), AFFINE, True, "another scan"),
    ],
)
def test_samples_off_the_grid_of_the_scan(stored, shape, affine, other_input, words):
    paths, records = stored
    image = paths[0].with_name("scan.nii.gz")
    save_map(image, np.zeros(shape), affine)
    digest = "0" if other_input else sha256_of_file(image)
    records = [record | {"InputSha256": digest} for record in records]
    if words is None:
        require_grid(paths, image, records)
        return
    with pytest.raises(RoundoffError, match=words):
        require_grid(paths, image, records)
