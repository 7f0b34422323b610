"""Pictures in folders of classes are cut, numbered and read one by one."""

import numpy as np
import pytest
from PIL import Image

from roundoff.data.classification.folder import ImageFolder
from roundoff.errors import RoundoffError


@pytest.fixture
def pictures(tmp_path):
    for name, color in (("n02", (0, 0, 255)), ("n01", (255, 0, 0))):
        (tmp_path / name).mkdir()
        for index, size in enumerate([(60, 40), (40, 80)]):
            Image.new("RGB", size, color).save(tmp_path / name / f"{index}.JPEG")
    (tmp_path / "n01" / "notes.txt").write_text("no picture")
    return tmp_path


def test_classes_are_numbered_by_name(pictures):
    folder = ImageFolder(pictures, resize=32, size=24)
    assert folder.classes == ["n01", "n02"]
    found = list(folder)
    assert [label for _, label in found] == [0, 0, 1, 1]
    assert all(image.shape == (3, 24, 24) for image, _ in found)
    assert found[0][0].dtype == np.uint8
    assert (found[0][0][0] > 250).all()  # red
    assert (found[2][0][2] > 250).all()  # blue


def test_centre_is_cut_out(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 200
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "x.png")
    folder = ImageFolder(tmp_path, resize=20, size=20)
    assert (folder.read(folder.files[0][0]) == 200).all()


def test_grey_pictures_become_colour(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("L", (30, 30), 7).save(tmp_path / "a" / "x.png")
    image, _ = next(iter(ImageFolder(tmp_path, 24, 24)))
    assert (image == 7).all()
    assert image.shape == (3, 24, 24)


def test_folder_without_pictures_says_what_it_must_look_like(tmp_path):
    with pytest.raises(RoundoffError, match="ROOT/n01440764"):
        ImageFolder(tmp_path)


def test_damaged_picture_is_named(pictures):
    (pictures / "n01" / "0.JPEG").write_bytes(b"nothing")
    with pytest.raises(RoundoffError, match=r"n01/0\.JPEG: not a picture"):
        list(ImageFolder(pictures, 32, 24))


def test_cut_must_fit(pictures):
    with pytest.raises(RoundoffError, match="larger than resize"):
        ImageFolder(pictures, resize=20, size=24)
