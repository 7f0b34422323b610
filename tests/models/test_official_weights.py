"""Official files are fetched by name, checked, and pinned by the user's config."""

import functools
import hashlib
import http.server
import threading

import pytest
import yaml

from roundoff.errors import RoundoffError
from roundoff.models import official
from roundoff.models.registry import load_registry

CONTENT = {"a.pkl": b"axial weights", "b.pkl": b"coronal weights"}


@pytest.fixture
def address(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def table(address, monkeypatch):
    def entry(name, **known):
        return {
            "file": name,
            "urls": [f"{address}/gone/{name}", f"{address}/{name}"],
        } | known

    files = {"axial": entry("a.pkl", bytes=13), "coronal": entry("b.pkl")}
    content = {"fastsurfer": {"folder": "weights", "files": files}}
    monkeypatch.setattr(official, "_table", lambda: content)
    return files


def test_the_next_address_serves_where_one_fails(table, tmp_path):
    paths = official.fetch_official("fastsurfer", tmp_path / "w")
    assert paths["axial"].read_bytes() == CONTENT["a.pkl"]
    assert paths["coronal"].read_bytes() == CONTENT["b.pkl"]


def test_the_printed_entry_pins_the_files(table, tmp_path, capsys):
    assert official.main(["fastsurfer", "--folder", str(tmp_path / "w")]) == 0
    entry = yaml.safe_load(capsys.readouterr().out)["custom_models"]
    digest = hashlib.sha256(CONTENT["a.pkl"]).hexdigest()
    assert entry["fastsurfer"]["sha256"]["axial"] == digest
    spec = load_registry(entry)["fastsurfer"]
    assert spec.weights["coronal"] == str(tmp_path / "w" / "b.pkl")
    assert spec.sha256["axial"] == digest


def test_a_file_already_there_is_kept_and_checked(table, tmp_path):
    path = tmp_path / "w" / "a.pkl"
    path.parent.mkdir()
    path.write_bytes(b"short")
    with pytest.raises(RoundoffError, match="has 5 bytes, the published file has 13"):
        official.fetch_official("fastsurfer", path.parent)
    path.write_bytes(b"axial weightz")
    pinned = {"axial": hashlib.sha256(CONTENT["a.pkl"]).hexdigest()}
    with pytest.raises(RoundoffError, match="SHA-256 is"):
        official.fetch_official("fastsurfer", path.parent, pinned)
    assert path.read_bytes() == b"axial weightz"


def test_without_a_network_the_error_says_where_to_put_the_file(table, tmp_path):
    table["axial"]["urls"] = table["axial"]["urls"][:1]
    with pytest.raises(RoundoffError, match=r"put it at .*a\.pkl\.\nhttp.*404"):
        official.fetch_official("fastsurfer", tmp_path / "w")
    assert official.main(["fastsurfer", "--folder", str(tmp_path / "w")]) == 2


def test_every_listed_model_is_in_the_registry_with_the_same_paths():
    registry = load_registry()
    for model, entry in official._table().items():
        for file in official.official_files(model):
            expected = f"{entry['folder']}/{file.file}"
            assert registry[model].weights[file.role] == expected
            if file.sha256:
                assert registry[model].sha256[file.role] == file.sha256
            assert all(url.endswith(file.file) for url in file.urls)


def test_unknown_models_are_named():
    with pytest.raises(RoundoffError, match="no official files are listed"):
        official.official_files("deepbrain")
