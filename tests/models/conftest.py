"""Small networks with known weights, in files of the official formats."""

import pytest
import torch
from random_weights import randomised

from roundoff.models.fastsurfer.network import FastSurferVINN


@pytest.fixture(scope="session")
def vinn_files(tmp_path_factory):
    """Checkpoints of the official container, one per view, 4 filters: role to path."""
    folder = tmp_path_factory.mktemp("vinn")
    paths = {}
    for seed, (view, classes) in enumerate(
        {"axial": 79, "coronal": 79, "sagittal": 51}.items()
    ):
        network = FastSurferVINN(classes, num_filters=4, num_filters_interpol=3)
        paths[view] = folder / f"aparc_vinn_{view}.pkl"
        state = randomised(network, seed).state_dict()
        torch.save({"model_state": state, "epoch": 70}, paths[view])
    return paths
