"""The floating-point environment of a thread: rounding direction, set and restored.

The rounding mode is a property of the thread. Kernels switch it around a call to a
function that LLVM cannot inline (`compilation.keep_apart`), because LLVM assumes
round-to-nearest everywhere (specification, section 9).
"""

import ctypes
import ctypes.util
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numba.core import types
from numba.extending import overload

# Values of FE_* in the C headers <fenv.h> of each platform.
_FENV = {
    "x86_64": {"nearest": 0, "downward": 0x400, "upward": 0x800, "toward_zero": 0xC00},
    "arm64": {
        "nearest": 0,
        "downward": 0x800000,
        "upward": 0x400000,
        "toward_zero": 0xC00000,
    },
}
_FENV_BYTES = 128  # more than fenv_t anywhere (32 on x86-64 Linux)
_NAMES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def _platform_directions() -> dict[str, int]:
    machine = _NAMES.get(platform.machine().lower())
    if machine is None or sys.platform == "win32":
        raise ImportError(
            "roundoff.rounding knows no rounding-mode constants for "
            f"{platform.machine()} on {sys.platform}: it runs on x86-64 and arm64 "
            "under Linux and macOS"
        )
    return _FENV[machine]


DIRECTIONS = _platform_directions()
NEAREST = DIRECTIONS["nearest"]

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
# Compiled and cached kernels find the function by this name.
llvm.add_symbol(
    "roundoff_fesetround", ctypes.cast(_libm.fesetround, ctypes.c_void_p).value
)
_fesetround = types.ExternalFunction("roundoff_fesetround", types.intc(types.intc))


def set_rounding(direction: int) -> int:
    """Set this thread's rounding direction (a value of `DIRECTIONS`); 0 is success.

    Works in Python and inside kernels. Flush-to-zero bits are left alone.
    """
    return _libm.fesetround(int(direction))


@overload(set_rounding)
def _set_rounding_compiled(direction):
    def set_direction(direction):
        return _fesetround(np.int32(direction))

    return set_direction


def current_direction() -> int:
    """Return the rounding direction of the calling thread (a value of `DIRECTIONS`)."""
    return _libm.fegetround()


def captured_environment() -> ctypes.Array:
    """Copy of the calling thread's whole environment (flush-to-zero bits included)."""
    state = ctypes.create_string_buffer(_FENV_BYTES)
    _libm.fegetenv(state)
    return state


def adopt_environment(state: ctypes.Array) -> None:
    """Give the calling thread the environment of `captured_environment`."""
    _libm.fesetenv(state)


@contextmanager
def nearest_on_exit() -> Iterator[None]:
    """Guarantee round-to-nearest in the calling thread afterwards, whatever happens."""
    try:
        yield
    finally:
        _libm.fesetround(NEAREST)


@cache
def environment_works() -> bool:
    """Whether compiled kernels obey the rounding direction here (tested once).

    Each primitive is run on inexact operands in mode `random`: results must be the
    floor or the ceiling of the exact value, both must occur half of the time, exact
    results must stay, and the thread must be back to round-to-nearest. On failure a
    warning is given and callers use the float64 variant, which touches no environment.
    """
    from roundoff.rounding.selftest import failures

    problems = failures()
    if problems:
        warnings.warn(
            "random rounding falls back to the slower float64 variant, because "
            "compiled kernels do not obey the rounding direction: "
            + "; ".join(problems),
            RuntimeWarning,
            stacklevel=2,
        )
    return not problems
