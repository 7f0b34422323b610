"""Settings of the instrument `verrou` and of the target `agreement`."""

from typing import Literal

from pydantic import Field

from roundoff.config.section import Section

VerrouMode = Literal[
    "random", "nearness", "average", "sr", "nearest", "upward", "downward",
    "toward_zero", "away_zero", "random_det", "nearness_det", "random_comdet",
    "nearness_comdet",
]  # fmt: skip


class Verrou(Section):
    """How a sample runs under `valgrind --tool=verrou`."""

    mode: VerrouMode = "random"
    slices: int | None = Field(
        1,
        ge=1,
        description="slices computed in each direction; null: all (hours to days)",
    )
    layers: list[str] = Field(
        default_factory=list, description="perturb these modules only (patterns)"
    )
    libm: Literal["excluded", "instrumented"] = "excluded"
    numpy: Literal["excluded", "perturbed"] = "excluded"
    exclude: list[str] = Field(
        default_factory=list, description="further rules, 'symbol object'"
    )
    warm_up: bool = Field(
        False, description="run once unperturbed before, in the same process"
    )
    valgrind: str = Field("valgrind", description="name on the PATH, or a path")
    library: str | None = Field(None, description="VALGRIND_LIB, if it was moved")


class Agreement(Section):
    """Settings of the target `agreement`."""

    models: list[str] = Field(default=["fastsurfer_demo"], min_length=1)
    samples: int = Field(6, ge=2)
