"""Checkpoints load as data: every format, nothing executed, errors that help."""

import hashlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from checkpoint_objects import Config
from safetensors.torch import save_file

from roundoff.errors import RoundoffError
from roundoff.models.checkpoints import (
    detect_format,
    load_into,
    load_metadata,
    load_tensors,
    require_key,
)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.PReLU()).state_dict()


def same(found, expected):
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_plain_state_dict(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    same(load_tensors(tmp_path / "a.pth"), state)


@pytest.mark.parametrize("key", ["model_state", "model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_containers_with_optimiser_and_config(tmp_path, state, key, prefix):
    parameters = [torch.nn.Parameter(torch.zeros(3))]
    optimiser = torch.optim.AdamW(parameters)
    parameters[0].sum().backward()
    optimiser.step()
    content = {
        key: OrderedDict((prefix + name, value) for name, value in state.items()),
        "optimizer_state": optimiser.state_dict(),
        "epoch": 70,
        "best_metric": 0.9,
        "config": Config(MODEL=Config(NUM_CLASSES=79)),
    }
    path = tmp_path / "aparc_vinn_axial_v2.0.0.pkl"
    torch.save(content, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    same(load_tensors(path), state)


def test_format_of_pytorch_before_1_6(tmp_path, state):
    path = tmp_path / "old.pkl"
    content = {"model_state_dict": state, "config": Config(A=1)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    same(load_tensors(path), state)


def test_safetensors_under_another_name(tmp_path, state):
    path = tmp_path / "model.pth"
    save_file(state, path, metadata={"trained_on": "labels"})
    assert detect_format(path) == "safetensors"
    found = load_tensors(path)
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert load_metadata(path) == {"trained_on": "labels"}


class Attack:
    """Runs a command when unpickled by the ordinary machinery."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_not_run(tmp_path, state, zipped):
    trace = tmp_path / "executed"
    path = tmp_path / "hostile.pkl"
    content = {"model_state": state, "config": Attack(f"touch {trace}")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    same(load_tensors(path), state)
    assert not trace.exists()


def test_a_tensor_built_by_foreign_code_is_left_out(tmp_path, state):
    class Builder:
        def __reduce__(self):
            return eval, ("__import__('torch').zeros(2)",)

    torch.save({"model_state": state, "extra": Builder()}, tmp_path / "a.pkl")
    same(load_tensors(tmp_path / "a.pkl"), state)
    torch.save({"model_state": {"w": Builder()}}, tmp_path / "b.pkl")
    with pytest.raises(RoundoffError, match="holds no tensors"):
        load_tensors(tmp_path / "b.pkl")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RoundoffError, match=r"nowhere\.pkl cannot be read"):
        load_tensors(tmp_path / "nowhere.pkl")


@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_a_truncated_file_says_its_size_and_what_to_do(tmp_path, state, form):
    path = tmp_path / "cut"
    torch.save(state, path) if form == "torch" else save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        RoundoffError, match=rf"\({len(whole) // 2} bytes\) is damaged.*fetch it again"
    ):
        load_tensors(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"", "of no known format"),
        (pickle.dumps({"a": 1}), "pickle"),
    ],
)
def test_what_is_no_checkpoint_is_told_apart(tmp_path, content, what):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(RoundoffError, match=what):
        load_tensors(path)


def test_another_zip_is_no_checkpoint(tmp_path):
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("readme.txt", "hello")
    with pytest.raises(RoundoffError, match="damaged"):
        load_tensors(path)


def test_checksum_is_checked_before_anything_is_read(tmp_path, state):
    path = tmp_path / "a.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    same(load_tensors(path, sha256=digest), state)
    path.write_bytes(b"something else")
    with pytest.raises(RoundoffError, match="SHA-256 is"):
        load_tensors(path, sha256=digest)


def test_an_absent_entry_is_named(tmp_path, state):
    torch.save({"weights": state}, tmp_path / "a.pth")
    with pytest.raises(RoundoffError, match=r"no entry 'model_state'.*'weights'"):
        load_tensors(tmp_path / "a.pth", key="model_state")
    with pytest.raises(RoundoffError, match="holds no tensors"):
        load_tensors(tmp_path / "a.pth")


def test_loading_copies_every_tensor_and_freezes(state):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.PReLU())
    loaded = load_into(network, state, "a.pth")
    same(loaded.state_dict(), state)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_keys_that_do_not_fit_are_named(state):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.PReLU())
    wrong = {("0.kernel" if k == "0.weight" else k): v for k, v in state.items()}
    with pytest.raises(RoundoffError, match=r"missing '0\.weight'.*'0\.kernel'"):
        load_into(network, wrong, "a.pth")
    wrong = state | {"0.weight": torch.zeros(3, 2, 5, 5)}
    with pytest.raises(
        RoundoffError, match=r"'0\.weight' has shape \(3, 2, 5, 5\).*\(3, 2, 3, 3\)"
    ):
        load_into(network, wrong, "a.pth")


def test_a_required_key_that_is_absent_is_named(state):
    with pytest.raises(RoundoffError, match=r"no tensor 'classifier'.*'0\.weight'"):
        require_key(state, "classifier", "a.pth")


def test_buffers_survive_every_dtype(tmp_path):
    state = {
        "half": torch.rand(3).half(),
        "count": torch.tensor(7),
        "flag": torch.tensor([True, False]),
        "view": torch.arange(12.0).reshape(3, 4).t(),
    }
    buffer = io.BytesIO()
    torch.save({"model_state": state, "config": Config(A=1)}, buffer)
    (tmp_path / "a.pkl").write_bytes(buffer.getvalue())
    same(load_tensors(tmp_path / "a.pkl"), state)
