"""Writing the trained denoiser as safetensors that say what they are."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from roundoff.atomic import atomic_path

TITLE = "FONDUE_LT with few filters, demo weights: not for clinical or quantitative use"


def save_weights(network: nn.Module, path: Path, recipe: Mapping[str, object]) -> None:
    """Write float32 tensors by FONDUE_LT's names; the recipe as metadata (JSON)."""
    tensors = {
        key: value.detach().float().contiguous()
        for key, value in network.state_dict().items()
    }
    metadata = {
        "model": TITLE,
        "recipe": json.dumps(dict(recipe)),
        "torch": torch.__version__,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)
