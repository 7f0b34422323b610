"""Small networks with known weights, in files of the official formats."""

import pytest
import torch

from roundoff.models.fastsurfer.network import FastSurferVINN


def randomised(network, seed=0):
    """The network in inference mode, every tensor drawn from a seeded generator."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) - 0.5)
            if "running_var" in name:
                value.add_(1.0)
    return network.eval()


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
