"""Learnable and stochastic pooling: functions, modules, and how stable they are."""

from roundoff.poolers.functional import (
    gated_pool2d,
    mixing_pool2d,
    s3_pool2d,
    stochastic_pool2d,
    tdgs_pool2d,
)
from roundoff.poolers.modules import (
    POOLERS,
    GatedPool2d,
    MixingPool2d,
    S3Pool2d,
    StochasticPool2d,
    TDGSPool2d,
    make_pooler,
)

__all__ = [
    "POOLERS",
    "GatedPool2d",
    "MixingPool2d",
    "S3Pool2d",
    "StochasticPool2d",
    "TDGSPool2d",
    "gated_pool2d",
    "make_pooler",
    "mixing_pool2d",
    "s3_pool2d",
    "stochastic_pool2d",
    "tdgs_pool2d",
]
