"""Settings of the target `poolers`."""

from typing import Literal

from pydantic import Field

from roundoff.config.section import Section

Name = Literal[
    "max", "average", "mixing", "gated", "stochastic", "stochastic_softmax", "s3",
    "tdgs",
]  # fmt: skip


class Poolers(Section):
    """How much of the pooler study is computed; counts override the size's own."""

    size: Literal["demo", "published"] = "demo"
    datasets: list[Literal["mnist", "fashion_mnist", "cifar10"]] | None = None
    poolers: list[Name] | None = None
    seeds: int | None = Field(None, ge=1, description="trainings per point")
    epochs: int | None = Field(None, ge=1)
    images: int | None = Field(None, ge=64, description="training images")
    samples: int | None = Field(None, ge=2, description="of the stability")
