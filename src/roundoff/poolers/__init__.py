"""Learnable and stochastic pooling: functions, modules, and how stable they are."""

from importlib import import_module
from typing import Any

# Resolved on first use: planning a workflow reads this package, and needs no PyTorch.
_FUNCTIONS = (
    "gated_pool2d",
    "mixing_pool2d",
    "s3_pool2d",
    "stochastic_pool2d",
    "tdgs_pool2d",
)
_MODULES = (
    "GatedPool2d",
    "MixingPool2d",
    "S3Pool2d",
    "StochasticPool2d",
    "TDGSPool2d",
    "make_pooler",
)
_LAZY = {
    **dict.fromkeys(_FUNCTIONS, "roundoff.poolers.functional"),
    **dict.fromkeys(_MODULES, "roundoff.poolers.modules"),
    "POOLERS": "roundoff.poolers.sizes",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'roundoff.poolers' has no attribute {name!r}")
