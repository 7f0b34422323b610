"""On what a time was measured, in words."""

import platform
from pathlib import Path

import torch

from roundoff.nan import kernels

LEVELS = ("none", "AVX2", "AVX-512")


def kernel_level() -> str:
    """The instruction set of the compiled kernels here, or "none"."""
    library = kernels.library()
    return LEVELS[0] if library is None else LEVELS[library.roundoff_level()]


def processor() -> str:
    """The processor's name and PyTorch's version, for captions."""
    name = platform.processor() or platform.machine()
    table = Path("/proc/cpuinfo")
    if table.is_file():
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [x.partition(":")[2].strip() for x in lines if x[:10] == "model name"]
        name = models[0] if models else name
    return f"{name}, PyTorch {torch.__version__.partition('+')[0]}"
