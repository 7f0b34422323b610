"""A FastSurfer network of the sizes its checkpoint has."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from roundoff.models.checkpoints import load_into, load_tensors, require_key
from roundoff.models.fastsurfer.network import FastSurferCNN, FastSurferVINN


def load_network(
    path: str | Path,
    *,
    base_resolution: float = 1.0,
    inner_size: int | None = None,
    sha256: str | None = None,
) -> FastSurferVINN | FastSurferCNN:
    """Read an official or demo checkpoint, version 1 or 2.

    Classes, channels, filters, kernel sizes and the number of convolutions per block
    come from the tensors. Raises RoundoffError naming the key that does not fit.
    """
    tensors = load_tensors(path, sha256=sha256)
    classes = require_key(tensors, "classifier.conv.weight", path).shape[0]
    if "inp_block.conv0.weight" not in tensors:
        first = require_key(tensors, "encode1.conv0.weight", path)
        network = FastSurferCNN(
            classes, first.shape[1], first.shape[0], _kernels(tensors, path)
        )
        return load_into(network, tensors, path)
    first = tensors["inp_block.conv0.weight"]
    network = FastSurferVINN(
        num_classes=classes,
        in_channels=first.shape[1],
        num_filters=require_key(tensors, "encode1.conv0.weight", path).shape[0],
        num_filters_interpol=first.shape[0],
        kernel=_kernels(tensors, path),
        base_resolution=base_resolution,
        inner_size=inner_size,
    )
    return load_into(network, tensors, path)


def _kernels(tensors: Mapping[str, Tensor], path: str | Path) -> tuple[int, ...]:
    """Kernel size of each convolution of a block, as the second encoder has them."""
    require_key(tensors, "encode2.conv0.weight", path)
    sizes = []
    while (key := f"encode2.conv{len(sizes)}.weight") in tensors:
        sizes.append(tensors[key].shape[-1])
    return tuple(sizes)
