"""Keras HDF5 files as data: named tensors in graph order, without TensorFlow."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from roundoff.errors import RoundoffError


@dataclass(frozen=True)
class KerasConv:
    """One convolution: PyTorch kernel (out, in, ...), bias, and its stride."""

    name: str
    kernel: Tensor
    bias: Tensor | None
    strides: tuple[int, ...] | None = None  # None where the file does not say


@dataclass(frozen=True)
class KerasFile:
    """The convolutions of a file in graph order, and what its JSON says.

    `config` holds the constructor arguments of a neurite `LoadableModel`, or the graph
    of a functional Keras model; empty when the file has none.
    """

    path: Path
    convs: tuple[KerasConv, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    def layer_options(self, class_name: str) -> dict[str, Any]:
        """The options of the first layer of that class in a functional graph."""
        for layer in self.config.get("layers", ()):
            if layer.get("class_name") == class_name:
                return layer.get("config", {})
        return {}


def read_keras(path: str | Path) -> KerasFile:
    """Read the convolutions of a Keras HDF5 file.

    Kernels come as (..., in, out) and go to (out, in, ...): both frameworks
    cross-correlate, nothing is flipped. Layers follow the graph (names such as
    `conv3d_10` sort wrongly). Raises RoundoffError for a missing or damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise RoundoffError(f"weights: there is no file {path}; check the path")
    try:
        with h5py.File(path, "r") as file:
            config = _config(file)
            root = file.get("model_weights", file)
            arrays = dict(_arrays(root, _layer_order(root, config)))
    except (OSError, KeyError, ValueError) as error:
        raise RoundoffError(
            f"weights: {path} ({path.stat().st_size} bytes) is no whole Keras HDF5 "
            f"file ({str(error)[:160]}); fetch it again and compare its SHA-256"
        ) from None
    convs = tuple(_convs(arrays, config))
    if not convs:
        raise RoundoffError(f"weights: {path} holds no convolution kernels")
    return KerasFile(path, convs, config)


def _config(file: h5py.File) -> dict[str, Any]:
    text = file.attrs.get("model_config")
    if text is None:
        return {}
    content = json.loads(text.decode() if isinstance(text, bytes) else text)
    return content.get("config", {}) if isinstance(content, dict) else {}


def _layer_order(root: h5py.Group, config: Mapping[str, Any]) -> list[str]:
    named = [layer["name"] for layer in config.get("layers", ()) if "name" in layer]
    stored = [_text(name) for name in root.attrs.get("layer_names", ())]
    order = [name for name in named or stored if name in root]
    return order + sorted(set(root) - set(order), key=_natural)


def _natural(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _arrays(root: h5py.Group, layers: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Weights as ("layer" or "layer/inner layer" + "/kernel" or "/bias", array)."""
    for layer in layers:
        group = root[layer]
        if not isinstance(group, h5py.Group):
            continue
        names = [_text(name) for name in group.attrs.get("weight_names", ())]
        for name in names or sorted(_datasets(group), key=_natural):
            yield f"{layer}/{name.removesuffix(':0')}", group[name][()]


def _datasets(group: h5py.Group) -> list[str]:
    found: list[str] = []
    group.visititems(
        lambda name, item: (
            found.append(name) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


def _convs(
    arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> Iterator[KerasConv]:
    strides = {
        layer.get("name"): layer.get("config", {}).get("strides")
        for layer in config.get("layers", ())
    }
    for name, array in arrays.items():
        if not name.endswith("/kernel") or array.ndim < 3:
            continue
        bias = arrays.get(name.removesuffix("kernel") + "bias")
        layer = name.split("/")[0]
        kernel = np.ascontiguousarray(np.moveaxis(array, (-1, -2), (0, 1)))
        stride = strides.get(layer)
        yield KerasConv(
            name=name.removesuffix("/kernel"),
            kernel=torch.from_numpy(kernel.astype(np.float32)),
            bias=None if bias is None else torch.from_numpy(bias.astype(np.float32)),
            strides=None if stride is None else tuple(stride),
        )
