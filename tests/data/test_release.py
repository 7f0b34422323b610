"""A ready-made program: checked by its published SHA-256, unpacked whole."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile

import pytest

from roundoff.data.release import install_release
from roundoff.data.sources import Source, get_source
from roundoff.errors import RoundoffError

if not shutil.which("zstd"):
    pytest.skip("the program zstd makes the test's archive", allow_module_level=True)


@pytest.fixture
def published(tmp_path):
    """A release on a (local) server: the archive and its .sha256."""
    folder = tmp_path / "server"
    folder.mkdir()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode in [("./bin/valgrind", 0o755), ("./lib/tool", 0o644)]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 2, mode
            tar.addfile(member, io.BytesIO(b"ok"))
    archive = folder / "v.tar.zst"
    done = subprocess.run(["zstd", "-q"], input=stream.getvalue(), capture_output=True)
    archive.write_bytes(done.stdout)
    digest = hashlib.sha256(done.stdout).hexdigest()
    (folder / "v.tar.zst.sha256").write_text(f"{digest}  v.tar.zst\n")
    return Source(
        "verrou", "v.tar.zst", "", "release", archive.as_uri(), "bin/valgrind", "", 0,
        "GPL", "",
    )  # fmt: skip


def test_a_release_is_unpacked(published, tmp_path):
    install_release(published, tmp_path / "sub/verrou")
    program = tmp_path / "sub/verrou/bin/valgrind"
    assert program.read_bytes() == b"ok"
    assert os.access(program, os.X_OK)
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["verrou"]


def test_another_archive_is_refused_and_nothing_left(published, tmp_path):
    server = tmp_path / "server"
    (server / "v.tar.zst").write_bytes(b"something else")
    with pytest.raises(RoundoffError, match="SHA-256"):
        install_release(published, tmp_path / "verrou")
    assert not (tmp_path / "verrou").exists()


def test_a_local_archive_and_its_checksum(published, tmp_path):
    archive = tmp_path / "mine.tar.zst"
    shutil.copy(tmp_path / "server/v.tar.zst", archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    install_release(published, tmp_path / "a", archive, digest)
    assert (tmp_path / "a/lib/tool").is_file()
    with pytest.raises(RoundoffError, match="SHA-256"):
        install_release(published, tmp_path / "b", archive, "0" * 64)


def test_an_installation_is_not_overwritten(published, tmp_path):
    install_release(published, tmp_path / "verrou")
    with pytest.raises(RoundoffError, match="there already"):
        install_release(published, tmp_path / "verrou")


def test_without_network_it_says_what_to_do(published, tmp_path):
    (tmp_path / "server/v.tar.zst").unlink()
    with pytest.raises(RoundoffError, match=r"cannot fetch .*--archive FILE"):
        install_release(published, tmp_path / "verrou")


def test_a_page_instead_of_a_checksum(published, tmp_path):
    (tmp_path / "server/v.tar.zst.sha256").write_text("<html>not found")
    with pytest.raises(RoundoffError, match="give it with --sha256"):
        install_release(published, tmp_path / "verrou")


def test_the_entry_of_the_table():
    verrou = get_source("verrou")
    assert verrou.kind == "release"
    assert verrou.origin.endswith(verrou.file)
    assert "valgrind-3.26.0" in verrou.file
