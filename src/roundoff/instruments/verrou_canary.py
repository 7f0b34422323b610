"""The canary of Verrou: a sum whose spread is known, and what must stay right.

Runs inside the process that Verrou perturbs. One sum of a million times 0.1 in index
order must land where Verrou's does, differ over seeds, repeat with a seed, and stay
the processor's own under rounding to nearest. Beside it: functions that are garbage
when their exclusion is missed, and an argmax over perturbed scores.
"""

from typing import Any

import numpy as np

from roundoff.errors import RoundoffError
from roundoff.instruments.under_verrou import Verrou
from roundoff.instruments.verrou import SPREADING

TERMS = 1_000_000
NEAREST_SUM = 100958.34375
SEEDS = (1, 1, 2, 3, 4, 5)  # the first twice

# Where the sum lands under Verrou 2.7 (exact: 100000).
EXPECTED = {
    "random": (99_100.0, 99_230.0),
    "nearness": (99_990.0, 100_010.0),
    "nearest": (NEAREST_SUM, NEAREST_SUM),
    "upward": (101_362.28, 101_362.30),
    "downward": (97_000.06, 97_000.08),
    "toward_zero": (97_000.06, 97_000.08),
    "away_zero": (101_362.28, 101_362.30),
}
# A perturbed value differs by some units in the last place (of tan near its pole by
# thousands of them); a wrong one by its own size.
CLOSE = 1e-2


def run_verrou_canary(instrument: Verrou) -> dict[str, Any]:
    """Run the canary in this process.

    Returns the record; raises `RoundoffError` when Verrou does not act as it should.
    """
    import torch

    torch.set_num_threads(1)
    mode = instrument.settings()["mode"]
    with torch.inference_mode():
        inputs = _inputs()
        unperturbed = _sum(inputs)
        sums, counts = [], []
        with instrument.session():
            for seed in SEEDS:
                with instrument.sample(seed) as evidence:
                    total = _sum(inputs)
                sums.append(float(total))
                counts.append(evidence["perturbed_operations"])
            with instrument.sample(SEEDS[0]):
                found = _functions(inputs)
    _check_sums(mode, sums, counts, float(unperturbed))
    errors = _check_functions(inputs, found)
    return {
        "Instrument": {"name": "verrou", **instrument.settings()},
        "Sums": sums[1:],
        "Unperturbed": float(unperturbed),
        "PerturbedOperations": counts[0],
        "FunctionErrors": errors,
        "ArgmaxIsTheLargest": True,
        "Passed": True,
    }


def _inputs() -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    return {
        "terms": torch.full((TERMS,), 0.1),
        "place": torch.zeros(TERMS, dtype=torch.int64),
        "x": torch.linspace(-3.0, 3.0, 2048),
        "features": torch.randn(512, 64, generator=generator),
        "weights": torch.randn(64, 8, generator=generator),
    }


def _sum(inputs):
    """Added in index order, one rounding per term."""
    import torch

    return torch.zeros(1).index_add_(0, inputs["place"], inputs["terms"])


def _functions(inputs) -> dict[str, Any]:
    import torch

    scores = inputs["features"] @ inputs["weights"]
    found = {n: getattr(torch, n)(inputs["x"]) for n in ("sin", "cos", "tan", "exp")}
    return found | {
        "erf": torch.erf(inputs["x"]),
        "arange": torch.arange(0, 1000, 3),
        "scores": scores,
        "argmax": scores.argmax(dim=1),
    }


def _check_sums(mode: str, sums: list[float], counts: list[int], plain: float) -> None:
    if min(counts) < TERMS:
        raise RoundoffError(
            f"canary: verrou counted {min(counts)} perturbed operations in a sum of "
            f"{TERMS}: it is not acting. Nothing computed with it would mean anything."
        )
    if sums[0] != sums[1]:
        raise RoundoffError(
            f"canary: verrou gave {sums[0]!r} and {sums[1]!r} with the same seed; "
            "samples would not be reproducible."
        )
    spread = len(set(sums)) > 1
    if mode.partition("_")[0] in SPREADING and not spread:
        raise RoundoffError(
            f"canary: verrou gave {sums[0]!r} under every seed: it is not acting."
        )
    if mode == "nearest" and sums[0] != plain:
        raise RoundoffError(
            f"canary: under Verrou's rounding to nearest the sum is {sums[0]!r}, the "
            f"processor's is {plain!r}: the control is not one."
        )
    low, high = EXPECTED.get(mode, (-np.inf, np.inf))
    if not all(low <= total <= high for total in sums):
        raise RoundoffError(
            f"canary: a million times 0.1 added under {mode} rounding gave "
            f"{min(sums)!r} to {max(sums)!r}; Verrou 2.7 gives {low} to {high}. The "
            "wrong mode or another arithmetic is at work."
        )


def _check_functions(inputs, found) -> dict[str, float]:
    x = inputs["x"].numpy().astype(np.float64)
    from scipy.special import erf

    exact = {name: getattr(np, name)(x) for name in ("sin", "cos", "tan", "exp")}
    exact["erf"] = erf(x)
    errors = {}
    for name, values in exact.items():
        gap = np.abs(found[name].numpy() - values) / np.maximum(np.abs(values), 1e-3)
        errors[name] = float(np.nan_to_num(gap, nan=np.inf).max())
    wrong = [name for name, error in errors.items() if error > CLOSE]
    if wrong:
        raise RoundoffError(
            f"canary: perturbed {', '.join(wrong)} came out wrong, not noisy (relative "
            f"errors {[errors[n] for n in wrong]}): an exclusion was missed, see "
            "docs/verrou.md."
        )
    if found["arange"].tolist() != list(range(0, 1000, 3)):
        raise RoundoffError("canary: arange gave other numbers under perturbation.")
    if not np.array_equal(found["argmax"].numpy(), found["scores"].numpy().argmax(1)):
        raise RoundoffError(
            "canary: argmax of perturbed scores is not the class of the largest score; "
            "every label map would be wrong."
        )
    return errors
