"""How far a count may be from its probability."""

from scipy.stats import binomtest


def binomial_interval(
    count: int, draws: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability, of which `count` of `draws` came up.

    Exact: it covers the true value with at least the confidence. Raises ValueError for
    counts outside 0 .. draws.
    """
    interval = binomtest(count, draws).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)
