"""Writing the trained networks as safetensors that say what they are."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from roundoff.atomic import atomic_path
from roundoff.training.segmentation.classes import (
    TABLE,
    freesurfer_ids,
    sagittal_expansion,
)


def save_weights(network: nn.Module, view: str, path: Path, recipe: dict) -> None:
    """Write float32 tensors and, as metadata, classes, expansion and recipe.

    Metadata values are JSON text: `classes` (FreeSurfer ids of the full set),
    `sagittal_expansion` (class of the sagittal network for each of them), `recipe`.
    """
    tensors = {
        key: (value.float() if value.is_floating_point() else value).contiguous()
        for key, value in network.state_dict().items()
    }
    metadata = {
        "model": "FastSurferVINN, demo weights: not for clinical or quantitative use",
        "view": view,
        "class_table": TABLE.removesuffix(".tsv"),
        "classes": json.dumps(freesurfer_ids()),
        "sagittal_expansion": json.dumps(sagittal_expansion()),
        "base_resolution": json.dumps(2.0),
        "recipe": json.dumps(recipe),
        "torch": torch.__version__,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)
        temporary.chmod(0o644)  # safetensors lets the owner alone read
