"""All functions of the NaN operations under one name, as `torch.nn.functional`."""

from roundoff.nan.convolution import nan_conv2d, nan_conv3d
from roundoff.nan.policy import clean_image, clean_logits, decide, merge_views
from roundoff.nan.pooling import (
    nan_max_pool2d,
    nan_max_pool3d,
    tie_max_pool2d,
    tie_max_pool3d,
)
from roundoff.nan.skips import SkipCount, count_skipped
from roundoff.nan.ties import positions_to_ties, ties_to_positions
from roundoff.nan.unpooling import nan_max_unpool2d, nan_max_unpool3d

__all__ = [
    "SkipCount",
    "clean_image",
    "clean_logits",
    "count_skipped",
    "decide",
    "merge_views",
    "nan_conv2d",
    "nan_conv3d",
    "nan_max_pool2d",
    "nan_max_pool3d",
    "nan_max_unpool2d",
    "nan_max_unpool3d",
    "positions_to_ties",
    "tie_max_pool2d",
    "tie_max_pool3d",
    "ties_to_positions",
]
