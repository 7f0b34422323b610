"""The shipped registration network registers pairs it never saw."""

from pathlib import Path

import numpy as np

import roundoff.models
from roundoff.training.registration import quality
from roundoff.training.registration.setup import make_task, unseen
from roundoff.training.registration.sizes import get_size

WEIGHTS = Path(roundoff.models.__file__).parent / "demo/synthmorph_demo.safetensors"


def test_demo_weights_raise_the_overlap_without_folding():
    size = get_size("heads")
    network = quality.load_network(WEIGHTS, size)
    # Shapes: not even of the kind it was trained on.
    pairs = unseen(make_task(get_size("demo"), [], seed=1))
    found = [
        quality.register(network, *two).overlap
        for two in quality.synthetic_pairs(pairs, 8)
    ]
    gain = np.mean([o.after - o.before for o in found])
    assert gain > 0.03
    assert max(o.folded_percent for o in found) <= 1
