"""Writing the trained denoiser as safetensors that say what they are."""

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from roundoff.training.weights import write_weights

TITLE = "FONDUE_LT with few filters, demo weights: not for clinical or quantitative use"


def save_weights(network: nn.Module, path: Path, recipe: Mapping[str, object]) -> None:
    """Write float32 tensors by the names of FONDUE_LT; the recipe as metadata."""
    metadata = {"model": TITLE, "recipe": json.dumps(dict(recipe))}
    write_weights(network, path, metadata)
