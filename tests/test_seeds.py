"""Seeds depend on what a sample is, and on nothing else."""

from itertools import product

from roundoff.seeds import derive_seed


def test_every_part_of_the_identity_counts():
    parts = product((1, 2), ("a", "b"), ("m", "n"), ("native", "ieee"), range(1, 40))
    seeds = [derive_seed(*p) for p in parts]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)


def test_parts_do_not_run_into_each_other():
    assert derive_seed(1, "ab", "c", "i", 1) != derive_seed(1, "a", "bc", "i", 1)


def test_seeds_never_change_between_versions():
    assert derive_seed(2026, "CSI1", "deepbrain", "native", 1) == 2932837984249583103
