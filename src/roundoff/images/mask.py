"""Where the head is: statistics of empty air are not statistics of a brain."""

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label


def head_mask(volume: np.ndarray) -> np.ndarray:
    """Boolean mask of the head (or of a skull-stripped brain) in a scan (X, Y, Z).

    Half of Otsu's threshold, the largest connected piece, closed and filled.
    """
    values = volume[volume > 0]
    if values.size == 0:
        return np.zeros(volume.shape, bool)
    pieces = label(volume > threshold_otsu(values) / 2, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    head = pieces == sizes.argmax()
    head = ndimage.binary_closing(np.pad(head, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    return ndimage.binary_fill_holes(head)
