"""NaN-aware pooling, unpooling and convolution for PyTorch."""

from roundoff.nan.convert import ConvertedModel, convert
from roundoff.nan.functional import *  # noqa: F403
from roundoff.nan.functional import __all__ as _functions
from roundoff.nan.modules import (
    NaNConv2d,
    NaNConv3d,
    NaNMaxPool2d,
    NaNMaxPool3d,
    NaNMaxUnpool2d,
    NaNMaxUnpool3d,
    TieMaxPool2d,
    TieMaxPool3d,
)

__all__ = [
    *_functions,
    "ConvertedModel",
    "NaNConv2d",
    "NaNConv3d",
    "NaNMaxPool2d",
    "NaNMaxPool3d",
    "NaNMaxUnpool2d",
    "NaNMaxUnpool3d",
    "TieMaxPool2d",
    "TieMaxPool3d",
    "convert",
]
