"""How many samples support which probability."""

import math

import significantdigits

from roundoff.errors import RoundoffError


def require_samples(samples: int, what: str = "samples") -> None:
    """Refuse fewer than two samples: one run has no spread.

    Raises `RoundoffError` naming `what` and the fix.
    """
    if samples < 2:
        raise RoundoffError(
            f"{what}: {samples} given, but a spread needs at least 2 "
            "(10 is a good start); raise `samples` in the config"
        )


def supported_probability(samples: int, confidence: float = 0.95) -> float:
    """Largest p with p^N <= alpha: what N samples that all agree can prove.

    Distribution-free (Sohier et al. 2021): if N of N independent samples satisfy a
    statement, the statement holds with probability at least p at the given confidence.
    """
    require_samples(samples)
    _check_fraction("confidence", confidence)
    return (1 - confidence) ** (1 / samples)


def samples_needed(probability: float, confidence: float = 0.95) -> int:
    """Smallest N with p^N <= alpha, by `significantdigits.minimum_number_of_trials`."""
    _check_fraction("probability", probability)
    _check_fraction("confidence", confidence)
    return int(significantdigits.minimum_number_of_trials(probability, confidence))


def percent(confidence: float) -> str:
    """A confidence as text: 0.95 becomes "95 %"."""
    return f"{100 * confidence:g} %"


def statement(samples: int, confidence: float = 0.95) -> str:
    """Text for titles: "N = 10 supports p >= 0.741 at 95 % confidence"."""
    p = supported_probability(samples, confidence)
    return f"N = {samples} supports p >= {p:.3f} at {percent(confidence)} confidence"


def _check_fraction(name: str, value: float) -> None:
    if not (0 < value < 1 and math.isfinite(value)):
        raise RoundoffError(f"{name}: {value} given, must lie strictly between 0 and 1")
