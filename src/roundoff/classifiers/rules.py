"""The tie tests that are compared, and the thresholds."""

from dataclasses import dataclass

import torch

from roundoff.nan import ConvertedModel, convert

THRESHOLDS = (1.0, 0.85, 0.75, 0.65, 0.5)
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Rule:
    """How ties are found (rtol None: epsilon of the type), and what fills a NaN."""

    rtol: float | None
    atol: float
    criterion: str
    title: str
    fill: str = "mean"


RULES = {
    "eps1e-7": Rule(1e-7, 1e-8, "close", "published, 1e-7"),
    "eps1e-5": Rule(1e-5, 1e-8, "close", "published, 1e-5"),
    "eps1e-3": Rule(1e-3, 1e-8, "close", "published, 1e-3"),
    "eps1e-2": Rule(1e-2, 1e-8, "close", "published, 1e-2"),
    "dtype": Rule(None, 0.0, "close", "epsilon of the type"),
    "constant": Rule(None, 0.0, "constant", "constant windows, epsilon of the type"),
    "eps1e-7-zero": Rule(1e-7, 1e-8, "close", "published, 1e-7, fill 0", "zero"),
    "constant-zero": Rule(None, 0.0, "constant", "constant windows, fill 0", "zero"),
}


def converted(
    network: torch.nn.Module, rule: str, threshold: float, generator=None, chance=1.0
) -> ConvertedModel:
    """The network with aggressive NaN pooling under a rule."""
    chosen = RULES[rule]
    return convert(
        network,
        "aggressive",
        threshold,
        output="propagate",
        rtol=chosen.rtol,
        atol=chosen.atol,
        criterion=chosen.criterion,
        fill=chosen.fill,
        nan_probability=chance,
        generator=generator,
    )
