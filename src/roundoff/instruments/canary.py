"""Proof, before a batch, that an instrument acts: a sum whose spread is known.

Adding 0.1 a million times in float32 loses digits with every addition. Under `random`
rounding seeds must differ, and with the terms added one after the other the sum
must land where Verrou's does; without perturbation it must repeat bit for bit. A silent
instrument would otherwise look like perfect stability.
"""

from typing import Any

from roundoff.errors import RoundoffError
from roundoff.instruments.base import Instrument

TERMS = 1_000_000
# Two seeds agree by chance now and then: the sum takes few values in float32.
SEEDS = tuple(range(1, 9))


def sum_under(instrument: Instrument, seed: int) -> tuple[float, int]:
    """The float32 sum of 0.1, a million times, and the operations counted."""
    import torch

    torch.set_num_threads(1)
    terms = torch.full((TERMS,), 0.1, dtype=torch.float32)
    with torch.inference_mode(), instrument.sample(seed) as evidence:
        total = torch.dot(terms, torch.ones_like(terms))
    return float(total), int(evidence["perturbed_operations"])


# Where the sequential sum lands under Verrou 2.7 (exact 100000, to nearest 100958.34).
EXPECTED = {
    "random": (99_100.0, 99_230.0),
    "nearness": (99_990.0, 100_010.0),
    "upward": (101_362.28, 101_362.30),
    "downward": (97_000.06, 97_000.08),
}
EXPECTED |= {"average": EXPECTED["nearness"], "sr": EXPECTED["nearness"]}


def run_canary(instrument: Instrument) -> dict[str, Any]:
    """Run the canary under several seeds and once more under the first.

    Returns the record; raises `RoundoffError` when the instrument did nothing, did not
    repeat, or (control) changed something.
    """
    if instrument.name == "verrou":
        from roundoff.instruments.verrou_canary import run_verrou_canary

        return run_verrou_canary(instrument)
    runs = [sum_under(instrument, seed) for seed in (1, *SEEDS)]
    again, *sums = [total for total, _ in runs]
    count = runs[0][1]
    settings = dict(instrument.settings())
    record = {
        "Instrument": {"name": instrument.name, **settings},
        "Sums": sums,
        "PerturbedOperations": count,
    }
    if sums[0] != again:
        raise RoundoffError(
            f"canary: {instrument.name} gave {again!r} and {sums[0]!r} with the same "
            "seed; samples would not be reproducible."
        )
    spreads = settings.get("mode") in ("random", "nearness", "average", "sr")
    if spreads and (len(set(sums)) == 1 or count < TERMS - 1):
        raise RoundoffError(
            f"canary: {instrument.name} should have spread the sum over "
            f"{len(sums)} seeds, but it gave {sorted(set(sums))} and counted {count} "
            "operations: it is not acting. Nothing computed with it would mean "
            "anything."
        )
    if instrument.name == "native" and settings["mode"] in EXPECTED:
        record["SequentialSum"] = _sequential_sum(settings["mode"])
    if instrument.name == "ieee" and len(set(sums)) > 1:
        raise RoundoffError("canary: the control changed between two runs.")
    return record | {"Passed": True}


def _sequential_sum(mode: str) -> float:
    from roundoff.instruments.native import Native

    total, _ = sum_under(Native(mode=mode, order="sequential"), seed=1)
    low, high = EXPECTED[mode]
    if not low <= total <= high:
        raise RoundoffError(
            f"canary: a million times 0.1 added under {mode} rounding gave {total!r}; "
            f"Verrou gives a value from {low} to {high}. The rounding kernels do not "
            "work on this processor; please report it with `roundoff` and `numba` "
            "versions."
        )
    return total
