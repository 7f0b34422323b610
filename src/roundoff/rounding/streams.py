"""Counter-based random bits: every bit is a function of (key, element, step) alone.

So a sample can be repeated, computed in part, or on any number of threads, and give
the same bits (specification, section 4). `stream_key` runs in Python, once per operator
call; the rest are Numba functions for use inside kernels.
"""

import hashlib

import numpy as np

from roundoff.rounding.compilation import device

_GOLDEN64 = np.uint64(0x9E3779B97F4A7C15)
_GOLDEN32 = np.uint32(0x9E3779B9)


def stream_key(seed: int, *identity: int | str) -> int:
    """Return the 64-bit key of one stream.

    `identity` names what the stream belongs to, for instance (sample, module path,
    call number). Different identities give unrelated streams, in every process.
    """
    digest = hashlib.blake2b(repr((int(seed), *identity)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


@device
def mix64(x):
    """Full-avalanche permutation of 64 bits (SplitMix64's finaliser)."""
    x = np.uint64(x)
    x = np.uint64((x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    x = np.uint64((x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.uint64(x ^ (x >> np.uint64(31)))


@device
def mix32(x):
    """Full-avalanche permutation of 32 bits (Wellons' low-bias constants)."""
    x = np.uint32(x)
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@device
def derived_key(key, index):
    """Return an independent uint64 key for part `index` (a tile, a row, a stage)."""
    return mix64(np.uint64(key) ^ mix64(np.uint64(index) + _GOLDEN64))


@device
def element_word(key, index):
    """Return 32 random bits (uint32) for output element `index` under `key`.

    Two rounds of 32 bits, each with half of the key: twice as many lanes as 64 bits.
    """
    place = np.uint64(np.uint64(index) ^ np.uint64(key))
    first = mix32(np.uint32(place))
    return mix32(np.uint32(first + np.uint32(place >> np.uint64(32))))


@device
def step_word(word, step):
    """Return fresh 32 random bits for `step` of the element that owns `word`."""
    return mix32(np.uint32(np.uint32(word) + np.uint32(step) * _GOLDEN32))
