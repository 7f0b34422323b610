"""Label entropy and majority vote per voxel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundoff.uncertainty.confidence import require_samples
from roundoff.uncertainty.labels import check_labels, disagreement, present_labels


@dataclass(frozen=True)
class SlabVote:
    """Votes of N samples in V voxels.

    `entropy`: float32 (V,), natural logarithm, 0 (all agree) to ln N. `majority`: (V,)
    in the dtype of the labels. `agreement`: float32 (V,), share of samples that voted
    for the majority label.
    """

    entropy: NDArray[np.float32]
    majority: NDArray
    agreement: NDArray[np.float32]


def vote_of_slab(labels: NDArray) -> SlabVote:
    """Entropy H = -sum p ln p and majority label of one block of labels (N, V).

    Ties go to the smallest label value, so that the vote does not depend on the order
    of the samples. Works label by label on the voxels where samples disagree.
    """
    check_labels(labels)
    require_samples(len(labels))
    entropy = np.zeros(labels.shape[1], np.float32)
    agreement = np.ones(labels.shape[1], np.float32)
    majority = labels[0].copy()
    differ = np.flatnonzero(disagreement(labels))
    if differ.size:
        h, winner, count = _vote(labels[:, differ])
        entropy[differ], majority[differ] = h, winner
        agreement[differ] = count / len(labels)
    return SlabVote(entropy, majority, agreement)


def _vote(labels: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    voxels = labels.shape[1]
    entropy = np.zeros(voxels)
    winner = np.zeros(voxels, labels.dtype)
    best = np.zeros(voxels, np.intp)
    for label in present_labels(labels):  # ascending: a later tie does not win
        count = (labels == label).sum(axis=0)
        p = count / len(labels)
        entropy -= p * np.log(np.where(p > 0, p, 1))
        better = count > best
        best[better] = count[better]
        winner[better] = label
    return entropy, winner, best
