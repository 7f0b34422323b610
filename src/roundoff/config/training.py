"""Settings of `train_synthmorph`, `training_stability`, `segmentation_stability`."""

from typing import Literal

from pydantic import Field, model_validator

from roundoff.config.section import Section
from roundoff.data.sources import get_source


class Stability(Section):
    """How many trainings are compared, on the size "tiny" unless told otherwise."""

    size: Literal["tiny", "demo", "half", "published"] = "tiny"
    seeds: int = Field(3, ge=2, le=100, description="trainings per arm")
    steps: int = Field(50, ge=2)


class SegmentationStability(Section):
    """How many trainings of the demo segmentation are compared."""

    seeds: int = Field(3, ge=2, le=100, description="trainings per arm")
    steps: int = Field(80, ge=2)
    training: list[str] = Field(
        ["bold5000_csi1", "bold5000_csi3"], min_length=1, description="embedded scans"
    )
    unseen: list[str] = Field(["bold5000_csi2"], min_length=1)

    @model_validator(mode="after")
    def _scans_are_known_and_unseen(self) -> "SegmentationStability":
        for field in ("training", "unseen"):
            for name in getattr(self, field):
                get_source(name, f"training.segmentation.{field}")
        both = set(self.training) & set(self.unseen)
        if both:
            raise ValueError(
                f"training.segmentation: {min(both)} is among `training` and `unseen`; "
                "take it out of one"
            )
        return self


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
    segmentation: SegmentationStability = Field(default_factory=SegmentationStability)

    @model_validator(mode="after")
    def _batch_is_shared_evenly(self) -> "Training":
        if self.batch is not None and self.batch % self.processes:
            raise ValueError(
                f"training: batch {self.batch} is no multiple of processes "
                f"{self.processes}"
            )
        return self
