"""Fewer slices under a dear instrument, said in words."""

import inspect
from importlib import import_module

import pytest

from roundoff.instruments.reduction import SLAB, STEP, computed_part, reduce_slices
from roundoff.models.registry import get_model

FAST, FONDUE, BRAIN = (
    get_model(name) for name in ("fastsurfer_demo", "fondue_demo", "deepbrain")
)


@pytest.mark.parametrize(
    ("slices", "step"), [(1, 128), (2, 64), (3, 43), (128, 1), (500, 1)]
)
def test_networks_of_slices_run_every_nth(slices, step):
    for spec in (FAST, FONDUE):
        assert reduce_slices(spec, slices).options["slices"] == step


@pytest.mark.parametrize(("slices", "planes"), [(1, 8), (8, 8), (9, 16), (120, 120)])
def test_the_3d_network_runs_a_slab(slices, planes):
    assert reduce_slices(BRAIN, slices).options["slab"] == planes
    assert "slab" not in reduce_slices(BRAIN, 128).options


def test_whole_volumes_and_the_users_options_stay():
    for spec in (FAST, FONDUE, BRAIN):
        assert reduce_slices(spec, None) is spec
    assert reduce_slices(FAST, 1, {"slices": 4}) is FAST
    assert reduce_slices(BRAIN, 1, {"slab": 64}) is BRAIN


def test_the_part_in_words():
    assert computed_part(FAST) == computed_part(BRAIN) == ""
    assert computed_part(reduce_slices(FAST, 1)) == "1 of 128 slices per direction"
    assert computed_part(reduce_slices(BRAIN, 1)) == "8 of 128 planes"


@pytest.mark.parametrize(("factories", "option"), [(STEP, "slices"), (SLAB, "slab")])
def test_the_factories_have_these_options(factories, option):
    for factory in factories:
        module, _, name = factory.partition(":")
        assert (
            option in inspect.signature(getattr(import_module(module), name)).parameters
        )
