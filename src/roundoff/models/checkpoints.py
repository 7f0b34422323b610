"""Checkpoints are data, never code: reading weights without running pickles."""

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from roundoff.checksums import require_sha256
from roundoff.errors import RoundoffError

CONTAINERS = ("model_state", "model_state_dict", "state_dict", "model")
"""Keys under which published checkpoints keep their tensors."""

_SIGNATURES = (
    (b"PK\x03\x04", "torch"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),  # before PyTorch 1.6
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x80", "pickle"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"<", "a web page"),
)


def detect_format(path: str | Path) -> str:
    """ "torch", "safetensors" or "hdf5", from the first bytes, never the extension.

    Raises RoundoffError saying what the file is when it is no checkpoint.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise RoundoffError(
            f"weights: {path} cannot be read ({error.strerror}); check the path"
        ) from None
    if len(head) > 8 and head[8:9] == b"{":
        return "safetensors"
    found = next((kind for mark, kind in _SIGNATURES if head.startswith(mark)), None)
    if found in ("torch", "hdf5"):
        return found
    size = path.stat().st_size
    raise RoundoffError(
        f"weights: {path} ({size} bytes) is {found or 'of no known format'}, not a "
        "checkpoint (PyTorch, safetensors or HDF5); download it again"
    )


def load_tensors(
    path: str | Path, *, key: str | None = None, sha256: str | None = None
) -> dict[str, Tensor]:
    """The named tensors of a PyTorch or safetensors file, on the CPU.

    `key` is the entry that holds them; by default the usual ones are tried. A
    `module.` prefix (training on several GPUs) is taken off. `sha256` is checked first.
    Pickled objects other than tensors and plain containers are never built.
    Raises RoundoffError when the file is missing, damaged or holds no tensors.
    """
    if sha256 is not None:
        require_sha256(path, sha256, "the expected checksum")
    kind = detect_format(path)
    if kind == "hdf5":
        raise RoundoffError(
            f"weights: {path} is a Keras HDF5 file; it loads as a SynthMorph or "
            "VoxelMorph network only"
        )
    content = _load_safetensors(path) if kind == "safetensors" else _load_torch(path)
    return _strip_prefix(_state(content, key, path))


def load_metadata(path: str | Path) -> dict[str, str]:
    """The text fields a safetensors file carries beside its tensors, if any."""
    from safetensors import safe_open

    if detect_format(path) != "safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], path: str | Path):
    """Copy tensors into a network by key; return it ready for inference.

    Raises RoundoffError naming the first missing, unexpected or misshapen key.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in tensors]
    surplus = [key for key in tensors if key not in own]
    if missing or surplus:
        raise RoundoffError(
            f"weights: {path} does not fit {type(network).__name__}: "
            f"missing {_some(missing)}; unexpected {_some(surplus)}. "
            "It may be the checkpoint of another model or version."
        )
    for key, value in own.items():
        if value.shape != tensors[key].shape:
            raise RoundoffError(
                f"weights: {path}: {key!r} has shape {tuple(tensors[key].shape)}, "
                f"{type(network).__name__} needs {tuple(value.shape)}"
            )
    network.load_state_dict(dict(tensors))
    return network.eval().requires_grad_(False)


def require_key(tensors: Mapping[str, Tensor], key: str, path: str | Path) -> Tensor:
    """The tensor of that name, or a RoundoffError that says what is there instead."""
    if key not in tensors:
        raise RoundoffError(
            f"weights: {path} has no tensor {key!r} (it has {_some(list(tensors))}); "
            "it is the checkpoint of another model"
        )
    return tensors[key]


def _some(keys: Sequence[str]) -> str:
    if not keys:
        return "nothing"
    rest = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(repr(key) for key in keys[:3]) + rest


def _load_safetensors(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from None


def _load_torch(path: str | Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        pass  # holds other objects beside tensors: leave those out
    except (RuntimeError, EOFError, OSError, KeyError) as error:
        raise _damaged(path, error) from None
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=_TENSORS_ONLY
        )
    except Exception as error:  # a hostile or damaged pickle may fail in any way
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> RoundoffError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return RoundoffError(
        f"weights: {path} ({Path(path).stat().st_size} bytes) is damaged or cut short "
        f"({reason[:200]}); fetch it again and compare size and SHA-256 with the source"
    )


class Inert:
    """Stands for any pickled object that is no tensor: keeps nothing, does nothing."""

    def __init__(self, *args, **kwargs):
        pass

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        """Take a pickled list item, and drop it."""

    def extend(self, values):
        """Take pickled list items, and drop them."""

    def add(self, value):
        """Take a pickled set item, and drop it."""


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}


class _TensorUnpickler(pickle.Unpickler):
    """Builds tensors and plain containers; everything else becomes `Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module == "torch" and name.endswith("Storage"):
            return super().find_class(module, name)
        return _ALLOWED.get((module, name), Inert)


def _restricted_load(file, **kwargs) -> Any:
    return _TensorUnpickler(file, **kwargs).load()


_TENSORS_ONLY = SimpleNamespace(
    Unpickler=_TensorUnpickler,
    load=_restricted_load,
    UnpicklingError=pickle.UnpicklingError,
    __name__="roundoff tensors only",
)


def _state(content: Any, key: str | None, path: str | Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise RoundoffError(f"weights: {path} holds no named tensors")
    candidates = [key] if key is not None else [k for k in CONTAINERS if k in content]
    if key is not None and key not in content:
        raise RoundoffError(
            f"weights: {path} has no entry {key!r}, it has {_some(list(content))}"
        )
    found = content[candidates[0]] if candidates else content
    tensors = {
        name: value.detach()
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise RoundoffError(
            f"weights: {path} holds no tensors under {candidates or list(content)[:5]}"
        )
    return tensors


def _strip_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "module."
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name[len(prefix) :]: value for name, value in tensors.items()}
