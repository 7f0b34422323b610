"""Are two methods equivalent over subjects? Two one-sided tests, paired."""

import bisect
import math
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from roundoff.errors import RoundoffError

MOST_SUBJECTS = 10_000


@dataclass(frozen=True)
class Equivalence:
    """Result over n subjects, one difference each.

    `low`, `high`: the (1 - 2 alpha) confidence interval of the mean difference (90 %
    for alpha = 0.05). `p`: the larger of the two one-sided p values. `shown`: the
    interval lies within the margin. `least_margin`: the smallest margin these data
    would have shown. `needed`: subjects that show the margin with power 0.8 if the
    true difference is zero and the spread is the one seen (None: more than 10,000).
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    margin: float
    alpha: float
    p: float
    shown: bool
    least_margin: float
    needed: int | None


def equivalence(
    differences: ArrayLike, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided t tests (Schuirmann 1987) on one difference per subject.

    Differences that are all the same have no spread: p is 0 within the margin and 1
    outside. Raises `RoundoffError` for fewer than two subjects, values that are not
    finite, or a margin that is not positive.
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 1 or d.size < 2:
        raise RoundoffError(
            f"equivalence: {d.size} subject, needs one difference for each of 2 or more"
        )
    if not np.isfinite(d).all():
        raise RoundoffError("equivalence: a difference is NaN or infinite")
    if not margin > 0 or not 0 < alpha < 0.5:
        raise RoundoffError(
            f"equivalence: margin {margin} must be above 0, alpha {alpha} in (0, 0.5)"
        )
    n, mean, sd = d.size, float(d.mean()), float(d.std(ddof=1))
    error = sd / math.sqrt(n)
    half = float(scipy.stats.t.ppf(1 - alpha, n - 1)) * error
    p = _p(mean, error, margin, n)
    least = abs(mean) + half
    shown = bool(p < alpha)
    return Equivalence(
        n=n,
        mean=mean,
        sd=sd,
        low=mean - half,
        high=mean + half,
        margin=margin,
        alpha=alpha,
        p=p,
        shown=shown,
        least_margin=least,
        needed=subjects_needed(sd, margin, alpha),
    )


def subjects_needed(
    sd: float, margin: float, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Subjects that show equivalence if the true difference is zero, at least 2.

    With noncentral t, the two tests taken as in Chow and Liu: power 1 - beta needs
    P(t' > t_alpha) >= 1 - beta / 2 for a shift of margin / (sd / sqrt(n)).
    None where more than 10,000 would be needed.
    """

    def enough(n: int) -> bool:
        shift = math.inf if sd == 0 else margin * math.sqrt(n) / sd
        if shift > 1e3:
            return True
        critical = scipy.stats.t.ppf(1 - alpha, n - 1)
        return bool(scipy.stats.nct.sf(critical, n - 1, shift) >= 0.5 + power / 2)

    n = 2 + bisect.bisect_left(range(2, MOST_SUBJECTS + 1), True, key=enough)
    return n if n <= MOST_SUBJECTS else None


def _p(mean: float, error: float, margin: float, n: int) -> float:
    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    lower = scipy.stats.t.sf((mean + margin) / error, n - 1)
    upper = scipy.stats.t.cdf((mean - margin) / error, n - 1)
    return float(max(lower, upper))
