"""Sizes of the SynthMorph training, from a demonstration to the published one."""

from dataclasses import dataclass, replace

from roundoff.errors import RoundoffError
from roundoff.training.engine import Schedule
from roundoff.training.registration.generator import Contrast, Generator, Geometry
from roundoff.training.registration.task import Recipe

STRUCTURES = [
    2, 41, 3, 42, 4, 43, 7, 46, 8, 47, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54,
    28, 60, 16, 24,
]  # fmt: skip
"""FreeSurfer ids of the 26 structures SynthMorph is trained on."""


@dataclass(frozen=True)
class Size:
    """Grid, generator, network and schedule that belong together.

    `box`: voxels in LIA order; `voxel_size` in mm; `shapes`: labels of a map of shapes
    and `knots` their coarseness.
    """

    box: tuple[int, int, int]
    voxel_size: float
    generator: Generator
    recipe: Recipe
    schedule: Schedule
    shapes: int = 16
    knots: tuple[int, int] = (3, 8)
    known: float = 0.0  # of `Pairs`, for labelled heads
    strip: float = 0.0


def features(encoder: int, width: int, final: int) -> dict[str, tuple[int, ...]]:
    """Feature counts of a network with as many decoder as encoder convolutions."""
    return {
        "encoder": (width,) * encoder,
        "decoder": (width,) * encoder,
        "final": (width,) * final,
    }


DEMO = Size(
    box=(32, 32, 32),
    voxel_size=6.0,
    generator=Generator(
        Geometry(velocity=1.0, scale=6.0, rotation=6.0, zoom=0.08, shift=1.5, flip=0.0),
        Contrast(
            zero_background=1.0,
            deviation=(1, 5),
            blur=0.8,
            bias=0.05,
            gamma=0.05,
            alike=1.0,
            jitter=4.0,
        ),
    ),
    recipe=Recipe(
        **features(4, 16, 1), smoothness=0.02, guide=1.0, flow_scale=1e-2, forces=3.0
    ),
    schedule=Schedule(steps=300, batch=4, learning_rate=2e-3),
    shapes=8,
    knots=(3, 5),
)
HEADS = replace(
    DEMO,
    generator=Generator(
        Geometry(
            velocity=0.8,
            scale=4.0,
            rotation=5.0,
            zoom=0.06,
            shear=0.03,
            shift=0.8,
            flip=0.0,
        ),
        Contrast(
            deviation=(2, 10), blur=0.6, bias=0.1, gamma=0.1, alike=1.0, jitter=6.0
        ),
    ),
    schedule=Schedule(steps=350, batch=2, learning_rate=2e-3, window=25),
    known=1.0,
    strip=0.5,
)
"""T1-weighted heads, half of them skull-stripped, aligned by their outline alone."""
TINY = replace(
    DEMO,
    box=(16, 16, 16),
    recipe=replace(DEMO.recipe, **features(2, 12, 0)),
    schedule=Schedule(steps=50, batch=1, learning_rate=2e-3, warm_up=5),
    shapes=4,
    knots=(3, 3),
)
HALF = Size(
    box=(80, 96, 112),
    voxel_size=2.0,
    generator=Generator(),
    recipe=Recipe(**features(4, 32, 2), smoothness=0.25, memory="checkpoint"),
    schedule=Schedule(steps=20000, batch=1, learning_rate=1e-4, window=100),
)
PUBLISHED = Size(
    box=(160, 192, 224),
    voxel_size=1.0,
    generator=Generator(),
    recipe=Recipe(**features(4, 256, 2), memory="checkpoint"),
    schedule=Schedule(
        steps=150000, batch=1, learning_rate=1e-4, warm_up=0, descent=0, window=100
    ),
    shapes=26,
)
SIZES = {
    "tiny": TINY,
    "demo": DEMO,
    "heads": HEADS,
    "half": HALF,
    "published": PUBLISHED,
}


def get_size(name: str) -> Size:
    """A size by name. Raises RoundoffError for another name."""
    if name not in SIZES:
        raise RoundoffError(f"size is {name!r}, expected one of {', '.join(SIZES)}")
    return SIZES[name]
