"""Settings of the target `nan_sweep`."""

from typing import Annotated, Literal

from pydantic import Field

from roundoff.config.section import Section

Threshold = Annotated[float, Field(gt=0)]
Epsilon = Annotated[float, Field(ge=0, lt=1)] | Literal["dtype"]
Thresholds = Annotated[list[Threshold], Field(min_length=1)]


class Margins(Section):
    """Differences to the unmodified network that do not matter, per measure.

    Two networks are equivalent in a measure when the mean difference over subjects is
    shown to lie within the margin (two one-sided tests).
    """

    dice: float = Field(0.01, gt=0, description="1 - mean Dice of the labels")
    loss: float = Field(0.01, gt=0, description="soft Dice loss")
    psnr: float = Field(0.5, gt=0, description="dB, both against the scan")
    ssim: float = Field(0.005, gt=0, description="both against the scan")
    bits: float = Field(1.0, gt=0, description="significant bits in the brain")


class ByTask(Section):
    """Thresholds of the aggressive mode; the published ones by default."""

    segmentation: Thresholds = Field([1, 0.5])
    denoising: Thresholds = Field([1, 0.75, 0.5, 0.4])


class NanSweep(Section):
    """Thresholds and tolerances of the NaN operations, tried on whole networks."""

    models: list[str] = Field(
        default=["fastsurfer_demo", "fondue_demo"],
        min_length=1,
        description="segmentation by FastSurfer's networks, or denoising by FONDUE's",
    )
    scans: list[Literal["stripped", "whole"]] = Field(
        default=["stripped", "whole"],
        min_length=1,
        description=(
            "stripped: zero outside the brain, as in the published study. Bits and "
            "times are measured on the first"
        ),
    )
    stride: int = Field(8, ge=1, description="every how many slices, in each view")
    noise: float = Field(
        0.0,
        ge=0,
        description="added to a scan to be denoised, sd on 0-255; 0 as published",
    )
    bits_samples: int = Field(5, ge=2, description="samples under random rounding")
    repeats: int = Field(7, ge=1, description="interleaved repetitions of the timing")
    threads: int = Field(1, ge=1, description="of the timing")
    quiet_cores: int = Field(
        2, ge=1, description="cores a timing job keeps, so that nothing runs beside it"
    )
    brain_model: str = Field(
        "fastsurfer_demo", description="its labels say where the brain is"
    )
    aggressive: ByTask = Field(default_factory=ByTask, exclude=True)
    conservative: Thresholds = Field([1, 0.8, 0.5, 0.4], exclude=True)
    epsilons: list[Epsilon] = Field(
        [1e-7, "dtype"],
        min_length=1,
        exclude=True,
        description=(
            "relative tolerances of the tie test: a number (with the published "
            "absolute one, 1e-8), or the machine epsilon of the type (and none)"
        ),
    )
    margins: Margins = Field(default_factory=Margins, exclude=True)


class TimeTrials(Section):
    """Time of the NaN convolution against PyTorch's own."""

    size: Literal["quick", "default", "full"] = Field(
        "default",
        description="default: minutes; full: sizes, channels, kernels, masks crossed",
    )
    repeats: int = Field(7, ge=1, description="interleaved repetitions")
    threads: int = Field(1, ge=1)
    quiet_cores: int = Field(
        2, ge=1, description="cores a job keeps, so that nothing runs beside it"
    )
    clock: Literal["wall", "cpu"] = Field(
        "wall", description="cpu: processor time, for a busy machine with one thread"
    )
