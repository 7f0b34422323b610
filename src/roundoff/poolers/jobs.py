"""The jobs of the target `poolers`: which files, from which settings."""

from dataclasses import replace

from roundoff.config.poolers import Poolers
from roundoff.poolers.sizes import SIZES, Size

FOLDER = "results/poolers"
TABLES = ("accuracy", "stability", "fastsurfer")
FIGURES = ("accuracy", "curves", "stability", "ties", "fastsurfer")


def size_of(settings: Poolers) -> Size:
    """The counts of the chosen size, with the user's own where given."""
    own = settings.model_dump(exclude={"size"}, exclude_none=True)
    own = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
    return replace(SIZES[settings.size], **own)


def trained(settings: Poolers) -> list[str]:
    """Tables of the trainings: one per pooler, data set and seed."""
    size = size_of(settings)
    return [
        f"{FOLDER}/training/{dataset}_{pooler}_{number}.tsv"
        for dataset in size.datasets
        for pooler in size.poolers
        for number in range(1, size.seeds + 1)
    ]


def measured(settings: Poolers) -> list[str]:
    """Tables of the stability of the first network of each pooler and data set."""
    size = size_of(settings)
    return [
        f"{FOLDER}/stability/{dataset}_{pooler}.tsv"
        for dataset in size.datasets
        for pooler in size.poolers
    ]


def outputs() -> list[str]:
    """Tables, figures and the summary of the target."""
    return [
        *(f"{FOLDER}/{name}.tsv" for name in TABLES),
        *(f"{FOLDER}/{name}.png" for name in FIGURES),
        f"{FOLDER}/summary.md",
    ]
