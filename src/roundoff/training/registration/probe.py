"""What a registration network makes of a pair it never saw."""

from dataclasses import replace

from roundoff.models.synthmorph.network import Registration, VelocityUNet
from roundoff.training.registration.quality import placed_pair, register
from roundoff.training.registration.setup import UNSEEN
from roundoff.training.registration.task import RegistrationTask
from roundoff.training.stability import Probe, Seen

TEST_PAIR = 0  # number of the unseen pair all networks register


def make_probe(task: RegistrationTask) -> Probe:
    """Register one unseen pair: moved image (V,) and moved labels (V,)."""
    pair = replace(task.pairs, seed=UNSEEN).draw(TEST_PAIR)
    heads = placed_pair(pair, "test")

    def probe(network: VelocityUNet) -> Seen:
        registration = Registration(network, int_steps=task.recipe.int_steps)
        found = register(registration, *heads)
        moved = found.moved
        return Seen(moved.image.ravel(), moved.labels.ravel(), found.overlap.after)

    return probe
