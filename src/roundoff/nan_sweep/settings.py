"""One setting of the sweep: mode, threshold and tolerance of the tie test."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from roundoff.nan import ConvertedModel, convert

PUBLISHED_ATOL = 1e-8  # the published code states rtol only; NumPy's default atol stays
DTYPE = "dtype"  # tolerance: the machine epsilon of the data's type


@dataclass(frozen=True)
class Setting:
    """`epsilon`: relative tolerance as a number, or "dtype"."""

    mode: str
    threshold: float
    epsilon: float | str = DTYPE

    @property
    def columns(self) -> dict[str, object]:
        """What names the setting in every table."""
        return {
            "mode": self.mode,
            "threshold": self.threshold,
            "epsilon": str(self.epsilon),
        }

    def converted(self, network: nn.Module, **options) -> ConvertedModel:
        """The network under this setting, NaN left in its output."""
        tie = {"rtol": None, "atol": 0.0}
        if self.epsilon != DTYPE:
            tie = {"rtol": float(self.epsilon), "atol": PUBLISHED_ATOL}
        return convert(
            network, self.mode, self.threshold, output="propagate", **tie, **options
        )


def settings_of(
    mode: str, thresholds: Iterable[float], epsilons: Iterable[float | str]
) -> list[Setting]:
    """Every threshold with every tolerance."""
    return [Setting(mode, float(t), e) for e in epsilons for t in thresholds]
