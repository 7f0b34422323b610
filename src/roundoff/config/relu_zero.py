"""Settings of the target `relu_zero`."""

from typing import Literal

from pydantic import Field

from roundoff.config.section import Section


class ReluZero(Section):
    """How much of the study of ReLU'(0) is computed."""

    size: Literal["demo", "published"] = "demo"
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    mode: Literal["random", "nearness"] = "random"
    draws: int | None = Field(None, ge=2, description="initialisations per point")
    chunk: int = Field(50, ge=1, description="initialisations per job")
    networks: list[Literal["vgg11", "vgg11_bn", "resnet18", "resnet18_bn"]] | None = (
        None
    )
