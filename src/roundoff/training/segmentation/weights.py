"""Writing the trained networks as safetensors that say what they are."""

import json
from pathlib import Path

from torch import nn

from roundoff.training.segmentation.classes import (
    TABLE,
    freesurfer_ids,
    sagittal_expansion,
)
from roundoff.training.weights import write_weights


def save_weights(network: nn.Module, view: str, path: Path, recipe: dict) -> None:
    """Write float32 tensors and, as metadata, classes, expansion and recipe.

    Metadata values are JSON text: `classes` (FreeSurfer ids of the full set),
    `sagittal_expansion` (class of the sagittal network for each of them), `recipe`.
    """
    metadata = {
        "model": "FastSurferVINN, demo weights: not for clinical or quantitative use",
        "view": view,
        "class_table": TABLE.removesuffix(".tsv"),
        "classes": json.dumps(freesurfer_ids()),
        "sagittal_expansion": json.dumps(sagittal_expansion()),
        "base_resolution": json.dumps(2.0),
        "recipe": json.dumps(recipe),
    }
    write_weights(network, path, metadata)
