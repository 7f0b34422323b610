"""Registration networks from official Keras files, or from tensors of ours."""

from collections.abc import Sequence
from pathlib import Path

from roundoff.checksums import require_sha256
from roundoff.errors import RoundoffError
from roundoff.models.checkpoints import detect_format, load_into, load_tensors
from roundoff.models.keras_h5 import KerasConv, KerasFile, read_keras
from roundoff.models.synthmorph.network import SLOPE, Registration, VelocityUNet

DEFAULT_STEPS = 7  # of the class, where a file does not state its own


def load_registration(
    path: str | Path, *, int_steps: int | None = None, sha256: str | None = None
) -> Registration:
    """A registration network from a Keras `.h5` file or a safetensors or torch file.

    Depth and width come from the kernels; strides and integration steps from the
    file's JSON where it has them. `int_steps` overrides them. Layers a registration
    does not use (the variance of a probabilistic network) are left out.
    Raises RoundoffError naming what does not fit.
    """
    if sha256 is not None:
        require_sha256(path, sha256, "the expected checksum")
    if detect_format(path) == "hdf5":
        file = read_keras(path)
        named = _named(file)
        tensors = {f"{name}.weight": conv.kernel for name, conv in named.items()}
        tensors |= {f"{name}.bias": conv.bias for name, conv in named.items()}
        strided = any(s and max(s) > 1 for s in (c.strides for c in named.values()))
        steps, resolution = _integration(file)
        slope = float(file.layer_options("LeakyReLU").get("alpha", SLOPE))
    else:
        tensors = load_tensors(path)
        tensors = {name.removeprefix("unet."): value for name, value in tensors.items()}
        strided, steps, resolution, slope = False, DEFAULT_STEPS, 2, SLOPE
    unet = load_into(_unet(tensors, strided, slope, path), tensors, path)
    network = Registration(
        unet,
        int_steps=steps if int_steps is None else int_steps,
        int_resolution=resolution,
    )
    return network.eval().requires_grad_(False)


def _named(file: KerasFile) -> dict[str, KerasConv]:
    """The convolutions on the way to the flow, by our names.

    Along the encoder and into the first decoder convolution each kernel takes what
    the one before gives; from the next on it takes a skip as well.
    """
    flow = next((c for c in file.convs if _last(c).startswith("flow")), None)
    flow = flow or next((c for c in file.convs if c.kernel.shape[0] == 3), None)
    if flow is None:
        raise RoundoffError(f"weights: {file.path} has no flow convolution (3 outputs)")
    body = [c for c in file.convs[: file.convs.index(flow)] if c.bias is not None]
    chain = 1
    while chain < len(body) and _follows(body[chain], body[chain - 1]):
        chain += 1
    levels = chain - 1
    joined = 0
    for before, conv in zip(body[chain - 1 :], body[chain:], strict=False):
        joined += not _follows(conv, before)
    names = [f"enc{i}" for i in range(levels)]
    names += [f"dec{i}" for i in range(1 + joined)]
    names += [f"final{i}" for i in range(len(body) - len(names))]
    if levels < 1 or joined < 1:
        shapes = [tuple(c.kernel.shape[:2]) for c in body]
        raise RoundoffError(
            f"weights: {file.path} is no VoxelMorph U-Net: its convolutions have "
            f"(outputs, inputs) {shapes}"
        )
    return dict(zip(names, body, strict=True)) | {"flow": flow}


def _last(conv: KerasConv) -> str:
    """The layer's own name, without the prefix of the model it sits in."""
    return conv.name.split("/")[-1].split("vxm_dense_")[-1]


def _follows(conv: KerasConv, before: KerasConv) -> bool:
    return conv.kernel.shape[1] == before.kernel.shape[0]


def _integration(file: KerasFile) -> tuple[int, int]:
    """Squarings, and the factor of the integration grid, as the file states them."""
    options = file.config
    steps = options.get("int_steps", file.layer_options("VecInt").get("int_steps"))
    factor = options.get("int_resolution") or options.get("int_downsize") or 2
    return DEFAULT_STEPS if steps is None else int(steps), int(factor)


def _unet(tensors, strided: bool, slope: float, path: str | Path) -> VelocityUNet:
    if "enc0.weight" not in tensors or "flow.weight" not in tensors:
        raise RoundoffError(
            f"weights: {path} has no tensors enc0.weight and flow.weight; it is the "
            "checkpoint of another model"
        )
    return VelocityUNet(
        _features(tensors, "enc"),
        _features(tensors, "dec"),
        _features(tensors, "final"),
        in_channels=tensors["enc0.weight"].shape[1],
        strided=strided,
        slope=slope,
    )


def _features(tensors, stage: str) -> Sequence[int]:
    features = []
    while (key := f"{stage}{len(features)}.weight") in tensors:
        features.append(tensors[key].shape[0])
    return features
