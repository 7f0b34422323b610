"""Writes registration networks as Keras would: HDF5, layers, JSON configuration."""

import json

import h5py
import numpy as np


def keras_names(unet):
    """Our names to the layer names of VxmDense, in graph order."""
    names = {f"enc{i}": f"vxm_dense_unet_enc_conv_{i}_0" for i in range(unet.levels)}
    for i in range(unet.decoders):
        names[f"dec{i}"] = f"vxm_dense_unet_dec_conv_{unet.levels - 1 - i}_0"
    for i in range(unet.finals):
        names[f"final{i}"] = f"vxm_dense_unet_dec_final_conv_{i}"
    return names | {"flow": "vxm_dense_flow"}


def write_keras(path, unet, *, config=None, names=None, layer_names=True):
    """Save a `VelocityUNet`; `config` is the constructor's arguments, if any."""
    names = names or keras_names(unet)
    state = unet.state_dict()
    with h5py.File(path, "w") as file:
        if config is not None:
            content = {"class_name": "VxmDense", "config": config}
            file.attrs["model_config"] = json.dumps(content)
        root = file.create_group("model_weights")
        if layer_names:
            order = ["source_input", *names.values(), "transformer"]
            root.attrs["layer_names"] = [name.encode() for name in order]
        root.create_group("source_input").attrs["weight_names"] = np.array([], "S1")
        root.create_group("transformer").attrs["weight_names"] = np.array([], "S1")
        for ours, name in names.items():
            kernel = np.moveaxis(state[f"{ours}.weight"].numpy(), (0, 1), (-1, -2))
            group = root.create_group(name)
            stored = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [entry.encode() for entry in stored]
            group[stored[0]] = kernel
            group[stored[1]] = state[f"{ours}.bias"].numpy()
