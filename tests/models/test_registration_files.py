"""Registration networks from Keras files: depth, width, order, integration."""

import h5py
import pytest
import torch
from keras_files import keras_names, write_keras
from random_weights import randomised
from safetensors.torch import save_file

from roundoff.errors import RoundoffError
from roundoff.models.keras_h5 import read_keras
from roundoff.models.synthmorph.checkpoint import load_registration
from roundoff.models.synthmorph.network import VelocityUNet


def network(encoder=(4, 5, 6, 7), decoder=(8, 9, 10, 11), final=(12, 13), seed=0):
    return randomised(VelocityUNet(encoder, decoder, final), seed)


def same(found, expected):
    found, expected = found.state_dict(), expected.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "final", [(), (12,), (12, 13), (12, 13, 14, 15)], ids="final{}".format
)
def test_depth_and_widths_come_from_the_kernels(tmp_path, final):
    unet = network(final=final)
    write_keras(tmp_path / "w.h5", unet, config={"int_steps": 5, "svf_resolution": 2})
    loaded = load_registration(tmp_path / "w.h5")
    same(loaded.unet, unet)
    assert (loaded.int_steps, loaded.unet.svf_resolution) == (5, 2)


def test_equal_widths_everywhere_are_told_apart_as_well(tmp_path):
    unet = network((6,) * 4, (6,) * 4, (6,) * 4)
    write_keras(tmp_path / "w.h5", unet)
    same(load_registration(tmp_path / "w.h5").unet, unet)


def test_full_resolution_networks_integrate_at_half(tmp_path):
    unet = network(decoder=(8, 9, 10, 11, 12))
    write_keras(tmp_path / "w.h5", unet, config={"int_downsize": 2, "int_steps": 7})
    loaded = load_registration(tmp_path / "w.h5")
    same(loaded.unet, unet)
    assert (loaded.unet.svf_resolution, loaded.int_resolution) == (1, 2)
    with torch.inference_mode():
        images = torch.rand(2, 16, 32, 48)
        assert loaded.warp(*images).shape == (3, 16, 32, 48)


def test_steps_default_to_seven_and_can_be_set(tmp_path):
    write_keras(tmp_path / "w.h5", network())
    assert load_registration(tmp_path / "w.h5").int_steps == 7
    assert load_registration(tmp_path / "w.h5", int_steps=3).int_steps == 3


def test_numbered_layers_sort_by_graph_or_by_number(tmp_path):
    unet = network()
    numbered = {name: f"conv3d_{i + 8}" for i, name in enumerate(keras_names(unet))}
    numbered["flow"] = "flow"
    assert "conv3d_10" < "conv3d_9"  # what an alphabetical order would follow
    for stored in (True, False):
        path = tmp_path / f"{stored}.h5"
        write_keras(path, unet, names=numbered, layer_names=stored)
        same(load_registration(path).unet, unet)


def test_weights_of_ours_load_from_safetensors(tmp_path):
    unet = network()
    save_file(unet.state_dict(), tmp_path / "w.safetensors")
    same(load_registration(tmp_path / "w.safetensors").unet, unet)


def test_the_2018_file_is_read_with_strides_and_without_its_variance(shared_data):
    path = shared_data / "weights" / "voxelmorph_miccai2018.h5"
    file = read_keras(path)
    assert sum(c.kernel.numel() + c.bias.numel() for c in file.convs) == 266_374
    loaded = load_registration(path)
    assert loaded.unet.strided
    assert loaded.int_steps == 7
    variance = 3 * 16 * 27 + 3
    assert sum(p.numel() for p in loaded.parameters()) == 266_374 - variance
    kernel = file.convs[1].kernel
    with h5py.File(path) as raw:
        stored = raw["model_weights/conv3d_237/conv3d_237/kernel:0"][()]
    assert kernel[5, 3, 0, 1, 2] == stored[0, 1, 2, 3, 5]


def test_official_size_round_trip(tmp_path):
    unet = network((64,) * 4, (64,) * 4, (64,) * 2)
    assert sum(p.numel() for p in unet.parameters()) == 1_336_387
    write_keras(tmp_path / "w.h5", unet, config={"int_steps": 5})
    same(load_registration(tmp_path / "w.h5").unet, unet)


@pytest.mark.slow
def test_largest_official_size_round_trip(tmp_path):
    unet = network((256,) * 4, (256,) * 4, (256,) * 4)
    assert sum(p.numel() for p in unet.parameters()) == 24_810_243
    write_keras(tmp_path / "w.h5", unet)
    same(load_registration(tmp_path / "w.h5").unet, unet)


def test_truncated_missing_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "w.h5"
    write_keras(path, network())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RoundoffError, match="no whole Keras HDF5"):
        load_registration(path)
    with pytest.raises(RoundoffError, match="cannot be read"):
        load_registration(tmp_path / "none.h5")
    with h5py.File(path, "w") as file:
        file["model_weights/dense/kernel:0"] = torch.zeros(3, 4).numpy()
    with pytest.raises(RoundoffError, match="no convolution kernels"):
        load_registration(path)


def test_another_network_is_named(tmp_path):
    unet = network()
    names = {
        k: v for k, v in keras_names(unet).items() if k.startswith(("enc", "flow"))
    }
    write_keras(tmp_path / "w.h5", unet, names=names)
    with pytest.raises(RoundoffError, match="no VoxelMorph U-Net"):
        load_registration(tmp_path / "w.h5")


def test_checksum_is_checked(tmp_path):
    write_keras(tmp_path / "w.h5", network())
    with pytest.raises(RoundoffError, match="SHA-256"):
        load_registration(tmp_path / "w.h5", sha256="0" * 64)


def test_a_large_first_level_is_computed_in_slabs(monkeypatch):
    unet = network()
    pair = torch.rand(1, 2, 80, 16, 16)
    with torch.inference_mode():
        whole = unet(pair)
        monkeypatch.setattr("roundoff.models.synthmorph.network.LARGE", 1)
        calls = []
        unet.enc0.register_forward_pre_hook(lambda _, args: calls.append(args[0].shape))
        slabs = unet(pair)
    assert [shape[2] for shape in calls] == [33, 34, 17]
    assert torch.allclose(slabs, whole, rtol=1e-5, atol=1e-5)
