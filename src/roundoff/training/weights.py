"""Writing trained networks as safetensors that say what they are."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from roundoff.atomic import atomic_path


def write_weights(network: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network's tensors, floats as float32, under their own names.

    `metadata`: text by name, kept in the file beside the version of PyTorch.
    """
    tensors = {
        key: (value.float() if value.is_floating_point() else value).contiguous()
        for key, value in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {**metadata, "torch": torch.__version__})
        temporary.chmod(0o644)  # safetensors lets the owner alone read
