"""FastSurfer checkpoints in the official containers, at the official sizes."""

import pytest
import torch
from checkpoint_objects import Config
from random_weights import randomised

from roundoff.errors import RoundoffError
from roundoff.models.fastsurfer.checkpoint import load_network
from roundoff.models.fastsurfer.network import FastSurferCNN, FastSurferVINN


def same(found, expected):
    found, expected = found.state_dict(), expected.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("classes", [79, 51])
def test_version_2_round_trip(tmp_path, classes):
    network = randomised(FastSurferVINN(classes))
    path = tmp_path / "aparc_vinn_v2.0.0.pkl"
    content = {"model_state": network.state_dict(), "config": Config(MODEL="VINN")}
    torch.save(content, path)
    loaded = load_network(path, inner_size=256)
    same(loaded, network)
    assert (loaded.num_classes, loaded.inner_size) == (classes, 256)


@pytest.mark.parametrize("kernel", [(5, 5, 5, 5), (5, 5, 1)], ids=["current", "first"])
def test_version_1_round_trip_follows_the_file(tmp_path, kernel):
    network = randomised(FastSurferCNN(79, num_filters=8, kernel=kernel))
    path = tmp_path / "Epoch_30_training_state.pkl"
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"model_state_dict": state, "epoch": 30}, path)
    loaded = load_network(path)
    same(loaded, network)
    assert isinstance(loaded, FastSurferCNN)


def test_sizes_come_from_the_file(tmp_path):
    network = randomised(
        FastSurferVINN(
            31, 5, num_filters=6, num_filters_interpol=4, kernel=(5, 3, 3, 1)
        )
    )
    torch.save(network.state_dict(), tmp_path / "demo.pt")
    loaded = load_network(tmp_path / "demo.pt", base_resolution=2.0)
    same(loaded, network)
    assert (loaded.in_channels, loaded.base_resolution) == (5, 2.0)


def test_a_tensor_left_out_is_named(tmp_path):
    state = FastSurferVINN(5, num_filters=4, num_filters_interpol=3).state_dict()
    del state["decode2.bn3.running_var"]
    torch.save({"model_state": state}, tmp_path / "a.pkl")
    with pytest.raises(RoundoffError, match=r"missing 'decode2\.bn3\.running_var'"):
        load_network(tmp_path / "a.pkl")
    del state["classifier.conv.weight"]
    torch.save({"model_state": state}, tmp_path / "a.pkl")
    with pytest.raises(RoundoffError, match=r"no tensor 'classifier\.conv\.weight'"):
        load_network(tmp_path / "a.pkl")


def test_checksum_is_checked(tmp_path):
    torch.save({}, tmp_path / "a.pkl")
    with pytest.raises(RoundoffError, match="SHA-256 is"):
        load_network(tmp_path / "a.pkl", sha256="0" * 64)
