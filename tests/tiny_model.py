"""A network of the user's own, as small as a real one can be: two 3-D convolutions."""

import os
import resource
import signal
import sys
import time

import numpy as np
import torch
from torch import nn

from roundoff.models.base import Prediction


def fault(kind):
    """Do what the test of a fault asks of one sample, if it is this kind."""
    if os.environ.get("TINY_FAULT") != kind or "native" not in sys.argv:
        return False
    if kind == "memory":
        limit = 1 << 33
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return torch.zeros(limit, dtype=torch.uint8)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        time.sleep(3600)
    return True


class Tiny:
    """Three classes from a smoothing and a mixing convolution, weights by seed."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.PReLU(), nn.Conv3d(4, 3, 3, padding=1)
        )
        for parameter in self.network.parameters():
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)

    def predict(self, volume, voxel_size, progress=None):
        """Logits of the winning class, and its number."""
        for kind in ("memory", "kill", "hang"):
            fault(kind)
        x = torch.from_numpy(volume.astype(np.float32))[None, None] / 255
        best = self.network(x)[0].max(dim=0)
        if progress:
            progress(1.0, "done")
        if fault("nan"):
            best.values[:] = float("nan")
        return Prediction(
            {"logit": best.values.numpy()}, best.indices.numpy().astype(np.int16)
        )

    def modules(self):
        """The network, by name."""
        return {"network": self.network}


def build(weights):
    """Factory named in the configuration."""
    return Tiny()
