"""Settings of the targets `train_synthmorph` and `training_stability`."""

from typing import Literal

from pydantic import Field, model_validator

from roundoff.config.section import Section


class Stability(Section):
    """How many trainings are compared, on the size "tiny" unless told otherwise."""

    size: Literal["tiny", "demo", "half", "published"] = "tiny"
    seeds: int = Field(3, ge=2, le=100, description="trainings per arm")
    steps: int = Field(50, ge=2)


class Training(Section):
    """Training of SynthMorph; what is given replaces the size's own."""

    size: Literal["tiny", "demo", "half", "published"] = "demo"
    label_maps: list[str] = Field([], description="segmentations; none: shapes")
    steps: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1, description="pairs per step, all processes")
    patience: int | None = Field(None, ge=0, description="windows without progress")
    memory: Literal["plain", "checkpoint"] | None = None
    processes: int = Field(1, ge=1, le=512)
    stability: Stability = Field(default_factory=Stability)

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> "Training":
        if self.batch is not None and self.batch % self.processes:
            raise ValueError(
                f"training: batch {self.batch} is no multiple of processes "
                f"{self.processes}"
            )
        return self
