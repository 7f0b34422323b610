"""How every kernel is compiled: one decorator, cached on disk wherever possible."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
from numba.core import types
from numba.extending import intrinsic

_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


@cache
def _package_stamp() -> str:
    """Digest of the rounding package: kernels are rebuilt when any file changes."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def kernel(function: Callable) -> Callable:
    """Compile `function` with Numba: no GIL, IEEE division, disk cache if writable.

    Numba's cache watches only the file a function is written in; primitives inlined
    from other files would go stale, so the stamp of the whole package is used. Where
    no directory can be written (read-only container) the kernel is compiled in memory.
    """
    try:
        compiled = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return numba.njit(**_OPTIONS)(function)
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = _package_stamp()
    return compiled


device = numba.njit(inline="never", **_OPTIONS)


@intrinsic
def keep_apart(typingctx):
    """Call first in a body of arithmetic: LLVM must not inline it into its caller."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen
