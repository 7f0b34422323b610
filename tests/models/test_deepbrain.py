"""Brain extraction: the graph read as data, the network rebuilt, heads extracted."""

import numpy as np
import pytest
import torch
from frozen_graphs import field, run_graph, truncated_double, varint, write_graph
from hypothesis import given
from hypothesis import strategies as st

from roundoff.errors import RoundoffError
from roundoff.models.deepbrain.frozen_graph import read_graph
from roundoff.models.deepbrain.network import load_network
from roundoff.models.deepbrain.pipeline import build, tidied
from roundoff.models.deepbrain.protobuf import fields, varints


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("deepbrain") / "graph.pb"
    write_graph(path)
    return path


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 2**63) | st.binary())))
def test_messages_are_read_as_written(content):
    message = b"".join(field(number, value) for number, value in content)
    assert list(fields(message)) == content


@given(st.lists(st.integers(0, 2**63)))
def test_packed_integers(values):
    assert varints(b"".join(varint(v) for v in values)) == values


@pytest.mark.parametrize("message", [b"\x0a\x05abc", b"\x80", b"\x0b", b"\x08\xff"])
def test_messages_cut_short_are_refused(message):
    with pytest.raises(ValueError, match=r"byte"):
        list(fields(message))
    with pytest.raises(ValueError, match=r"needs 8 bytes"):
        list(fields(truncated_double()))


def test_network_computes_what_the_graph_says(graph):
    network, nodes = load_network(graph), read_graph(graph)
    image = torch.rand(1, 1, 16, 24, 32)
    with torch.inference_mode():
        logit = network(image)
    expected = run_graph(nodes, image, "conv3d_9/BiasAdd")
    assert torch.allclose(logit, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01


def test_parameters(graph):
    network = load_network(graph)
    assert sum(p.numel() for p in network.parameters()) == 171_465
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 1}, r"conv3d_transpose.*strides and padding"),
        ({"kernel": 5}, r"'conv3d/kernel' of shape \(8, 1, 5, 5, 5\)"),
        ({"drop": ["max_pooling3d_1/"]}, "runs the operators"),
        ({"drop": ["conv3d_4/bias"]}, "no float constant 'conv3d_4/bias'"),
    ],
)
def test_other_graphs_are_refused(tmp_path, changes, message):
    write_graph(tmp_path / "graph.pb", **changes)
    with pytest.raises(RoundoffError, match=message):
        load_network(tmp_path / "graph.pb")


def test_missing_and_truncated_files_are_named(tmp_path, graph):
    with pytest.raises(RoundoffError, match="cannot be read"):
        load_network(tmp_path / "none.pb")
    whole = graph.read_bytes()
    (tmp_path / "cut.pb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RoundoffError, match=r"bytes\) is no whole frozen graph"):
        load_network(tmp_path / "cut.pb")


def test_prediction_scales_by_the_maximum(graph):
    model = build({"network": graph}, tidy=False)
    volume = np.random.default_rng(0).integers(0, 200, (16, 16, 24)).astype(np.uint8)
    told = []
    prediction = model.predict(volume, 2.0, lambda f, w: told.append(f))
    assert told == [0.0, 1.0]
    image = torch.from_numpy(volume.astype(np.float32))[None, None] / volume.max()
    with torch.inference_mode():
        logit = model.modules()["network"](image)[0, 0].numpy()
    assert np.array_equal(prediction.maps["logit"], logit)
    probability = prediction.maps["probability"]
    assert np.allclose(probability, 1 / (1 + np.exp(-logit.astype(np.float64))))
    assert np.array_equal(prediction.labels, probability > 0.5)
    assert np.array_equal(
        model.predict(volume * np.float32(7), 2.0).labels, prediction.labels
    )


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.ones((16, 16, 20)), "divisible by 8"),
        (np.ones((16, 16)), "shape"),
        (np.zeros((16, 16, 16)), "no positive value"),
    ],
)
def test_volumes_that_do_not_fit_are_refused(graph, volume, message):
    with pytest.raises(RoundoffError, match=message):
        build({"network": graph}).predict(volume, 2.0)


def test_mask_is_tidied_to_one_piece_without_holes():
    mask = np.zeros((12, 12, 12), bool)
    mask[2:8, 2:8, 2:8] = True
    mask[4, 4, 4] = False  # a hole
    mask[10, 10, 10] = True  # an island
    expected = np.zeros_like(mask)
    expected[2:8, 2:8, 2:8] = True
    assert np.array_equal(tidied(mask), expected)
    assert not tidied(np.zeros((3, 3, 3), bool)).any()


def test_role_is_named_when_missing():
    with pytest.raises(RoundoffError, match="'network' is missing"):
        build({})


@pytest.mark.slow
def test_real_weights_extract_a_real_brain(tmp_path_factory, shared_data):
    import nibabel as nib
    from nibabel.processing import conform

    from roundoff.data.fetch import download_archive, fetch
    from roundoff.data.sources import get_source

    folder = tmp_path_factory.mktemp("real")
    source = get_source("deepbrain")
    try:
        download_archive(source, folder / source.archive)
    except RoundoffError as error:
        pytest.skip(f"the package cannot be fetched here: {error}")
    fetch(source, folder / source.file, folder / source.archive)
    nodes = read_graph(folder / source.file)
    scan = nib.load(shared_data / "t1" / "colin27_T1w.nii.gz")
    scan = conform(scan, (128,) * 3, (2.0,) * 3, order=1, orientation="LIA")
    volume = scan.get_fdata().clip(0, 255).astype(np.uint8)
    prediction = build({"network": folder / source.file}).predict(volume, 2.0)
    litres = prediction.labels.sum() * 8e-6
    assert 1.6 < litres < 2.1  # Colin27 is averaged in MNI space, larger than life
    image = torch.from_numpy(volume.astype(np.float32))[None, None] / volume.max()
    expected = run_graph(nodes, image, "prob")[0, 0].numpy()
    assert np.allclose(prediction.maps["probability"], expected, atol=2e-3)


def test_a_slab_is_the_network_on_those_planes(graph):
    volume = np.random.default_rng(0).random((16, 8, 32)).astype(np.float32)
    maps = build({"network": graph}, tidy=False, slab=8).predict(volume, 2.0).maps
    part = np.ascontiguousarray(volume[..., 12:20]) / volume.max()
    with torch.inference_mode():
        expected = load_network(graph)(torch.from_numpy(part)[None, None])[0, 0]
    assert np.array_equal(maps["logit"][..., 12:20], expected.numpy())
    assert not maps["logit"][..., :12].any()
    assert not maps["probability"][..., 20:].any()
    with pytest.raises(RoundoffError, match="slab is 12"):
        build({"network": graph}, slab=12)
