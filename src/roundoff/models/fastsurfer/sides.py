"""Left and right for the cortical labels that FastSurfer trains without a side.

Works on label maps (integers), after the network: distances and smoothing are
float64 numpy and SciPy, as in FastSurfer itself.
"""

import warnings

import numpy as np
from scipy import ndimage

LEFT_WHITE, RIGHT_WHITE = 2, 41
RIGHT = 1000
"""Distance of a right cortical label from its left twin."""
BY_REGION = (
    *(1003, 1006, 1007, 1008, 1009, 1011, 1015, 1018, 1019, 1020),
    *(1025, 1026, 1027, 1028, 1029, 1030, 1031, 1034, 1035),
)
"""Labels split by connected region: the nearer white-matter centroid decides."""
BY_VOXEL = (1011, 1019, 1026, 1029)
"""Labels split again voxel by voxel, by smoothed white matter."""
SIGMA = 3.0  # voxels
_TOUCHING = np.ones((3, 3, 3), bool)


def split_sides(labels: np.ndarray) -> np.ndarray:
    """A copy of a FreeSurfer label map with right cortical labels (+1000) set.

    Two steps (Deep-MI/FastSurfer): each 26-connected region of a `BY_REGION` label
    goes to the side whose largest white-matter component has the nearer centroid;
    then each voxel of a `BY_VOXEL` label goes to the side with more white matter
    after Gaussian smoothing (ties left). Warns and changes nothing when a side has
    no white matter.
    """
    labels = labels.copy()
    if not np.isin(labels, BY_REGION).any():
        return labels
    left, right = labels == LEFT_WHITE, labels == RIGHT_WHITE
    if not (left.any() and right.any()):
        warnings.warn(
            "no white matter on one side: cortical labels keep the left side's values",
            stacklevel=2,
        )
        return labels
    _split_by_region(labels, _centroid(left), _centroid(right))
    _split_by_voxel(labels, left, right)
    return labels


def _centroid(mask: np.ndarray) -> np.ndarray:
    components, _ = ndimage.label(mask, _TOUCHING)
    largest = 1 + np.argmax(np.bincount(components.ravel())[1:])
    return np.array(ndimage.center_of_mass(components == largest))


def _split_by_region(labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    for label in BY_REGION:
        regions, count = ndimage.label(labels == label, _TOUCHING)
        if count == 0:
            continue
        numbers = np.arange(1, count + 1)
        centres = np.array(ndimage.center_of_mass(regions > 0, regions, numbers))
        nearer_right = np.linalg.norm(centres - right, axis=1) < np.linalg.norm(
            centres - left, axis=1
        )
        labels[np.isin(regions, numbers[nearer_right])] = label + RIGHT


def _split_by_voxel(labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    smooth_left, smooth_right = (
        ndimage.gaussian_filter(1000.0 * side, SIGMA) for side in (left, right)
    )
    is_right = smooth_right > smooth_left
    for label in BY_VOXEL:
        here = (labels == label) | (labels == label + RIGHT)
        labels[here] = np.where(is_right[here], label + RIGHT, label)
