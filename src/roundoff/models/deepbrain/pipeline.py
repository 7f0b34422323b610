"""Brain extraction of a conformed head: scaling, network, mask."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from roundoff.errors import RoundoffError
from roundoff.models.base import Prediction, Progress
from roundoff.models.deepbrain.network import BrainExtractionUNet, load_network

FACTOR = 8  # three poolings of 2


class BrainExtraction:
    """deepbrain 0.1 as a `BrainModel`.

    Maps: `logit` (before the sigmoid) and `probability`. Labels: 1 where the
    probability exceeds 0.5, as the package's script has it; with `tidy`, which is
    ours, only the largest component (faces touching), its holes filled. With `slab`,
    only so many planes through the middle of the last axis are computed; the rest is 0.
    """

    def __init__(
        self,
        network: BrainExtractionUNet,
        *,
        tidy: bool = True,
        slab: int | None = None,
    ):
        self.network = network
        self.tidy = tidy
        self.slab = slab

    def modules(self) -> Mapping[str, BrainExtractionUNet]:
        """The one network."""
        return {"network": self.network}

    @torch.inference_mode()
    def predict(
        self, volume: np.ndarray, voxel_size: float, progress: Progress | None = None
    ) -> Prediction:
        """Run on a whole head (3-D, any number type), sides divisible by 8.

        The package resizes every head to 128 voxels a side, so `voxel_size` is only
        sensible near 2 mm, and it is not used.
        """
        _check(volume)
        tell = progress or (lambda fraction, words: None)
        tell(0.0, "brain extraction")
        image = torch.from_numpy(volume.astype(np.float32))[None, None]
        planes = _planes(volume.shape[2], self.slab)
        part = (image / image.max())[..., planes].contiguous()
        computed = self.network(part)
        logit = torch.zeros_like(image)
        probability = torch.zeros_like(image)
        logit[..., planes] = computed
        probability[..., planes] = torch.sigmoid(computed)
        mask = (probability > 0.5)[0, 0].numpy()
        tell(1.0, "brain extraction")
        maps = {"logit": logit, "probability": probability}
        return Prediction(
            maps={name: value[0, 0].numpy() for name, value in maps.items()},
            labels=(tidied(mask) if self.tidy else mask).astype(np.uint8),
        )


def tidied(mask: np.ndarray) -> np.ndarray:
    """The largest 6-connected component of a boolean mask, its holes filled."""
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest = 1 + np.argmax(np.bincount(components.ravel())[1:])
    return ndimage.binary_fill_holes(components == largest)


def _planes(count: int, slab: int | None) -> slice:
    if slab is None or slab >= count:
        return slice(0, count)
    first = (count - slab) // 2
    return slice(first, first + slab)


def _check(volume: np.ndarray) -> None:
    if volume.ndim != 3 or any(side % FACTOR for side in volume.shape):
        raise RoundoffError(
            f"brain extraction: the volume has shape {volume.shape}; three axes "
            f"divisible by {FACTOR} are needed: conform it (128 voxels of 2 mm)"
        )
    if not volume.max() > 0:
        raise RoundoffError("brain extraction: the volume holds no positive value")


def build(
    weights: Mapping[str, Path], *, tidy: bool = True, slab: int | None = None
) -> BrainExtraction:
    """Factory of the registry: `weights["network"]` is the package's `graph.pb`.

    `slab`: see `BrainExtraction`. Raises RoundoffError for one that does not fit.
    """
    if slab is not None and (not isinstance(slab, int) or slab < 1 or slab % FACTOR):
        raise RoundoffError(
            f"option slab is {slab!r}, expected a multiple of {FACTOR} planes"
        )
    if "network" not in weights:
        raise RoundoffError(
            "models.deepbrain.weights: the role 'network' is missing; "
            "it names the data source with graph.pb"
        )
    return BrainExtraction(load_network(weights["network"]), tidy=tidy, slab=slab)
