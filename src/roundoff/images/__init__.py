"""Reading, checking, conforming and saving volumes."""

from roundoff.images.check import check_volume, load_volume
from roundoff.images.conform import conform
from roundoff.images.save import save_labels, save_map, save_scan
from roundoff.images.stack import SampleStack

__all__ = [
    "SampleStack",
    "check_volume",
    "conform",
    "load_volume",
    "save_labels",
    "save_map",
    "save_scan",
]
