"""Weights that make every layer do something."""

import torch


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
