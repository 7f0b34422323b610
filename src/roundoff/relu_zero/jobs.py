"""The jobs of the target `relu_zero`: which tables, from which settings."""

from dataclasses import replace

from roundoff.config.relu_zero import ReluZero
from roundoff.relu_zero.sizes import PRECISIONS, SIZES, Size, axes_of, chunks

FOLDER = "results/relu_zero"
SURPRISES = ("float32", "float64")
NETWORK_PRECISIONS = ("float16", "float32")


def size_of(settings: ReluZero) -> Size:
    """The counts of the chosen size, with the user's own where given."""
    size = SIZES[settings.size]
    if settings.draws is not None:
        size = replace(
            size,
            draws=settings.draws,
            draws_float64=min(size.draws_float64, settings.draws),
            rounding_draws=min(size.rounding_draws, settings.draws),
        )
    if settings.networks is not None:
        size = replace(size, networks=tuple(settings.networks))
    return size


def jobs(settings: ReluZero) -> dict[str, list[str]]:
    """Tables to compute, by kind of job.

    Draws are split into files of at most `chunk`, so jobs run side by side, and raising
    the number of draws later computes only what is missing.
    """
    size, chunk = size_of(settings), settings.chunk
    draws = {
        p: size.draws_float64 if p == "float64" else size.draws for p in PRECISIONS
    }
    return {
        "draws": [
            f"{FOLDER}/draws/{axis}_{p}_{label}.tsv"
            for p in reversed(PRECISIONS)  # the longest jobs first
            for axis in axes_of(p)
            for label in chunks(draws[p], chunk)
        ],
        "rounding": [
            f"{FOLDER}/rounding/{p}_{label}.tsv"
            for p in PRECISIONS
            for label in chunks(size.rounding_draws, min(chunk, 10))
        ],
        "surprise": [f"{FOLDER}/surprise/{p}.tsv" for p in SURPRISES],
        "plane": [f"{FOLDER}/plane.tsv"],
        "rates": [f"{FOLDER}/learning/{r.network}_rate.tsv" for r in size.learning],
        "learning": [
            f"{FOLDER}/learning/{r.network}_start-{number + 1}.tsv"
            for r in size.learning
            for number in range(r.seeds)
        ],
        "networks": [
            f"{FOLDER}/networks/{name}_{p}.tsv"
            for name in size.networks
            for p in NETWORK_PRECISIONS
        ],
    }


def outputs(settings: ReluZero) -> list[str]:
    """Figures, tables and the summary of the target."""
    tables = ["volume", "zeros", "rounding", "surprise", "learning", "learning_rates"]
    figures = ["volume", "zeros", "rounding", "surprise", "plane", "learning"]
    if size_of(settings).networks:
        tables.append("networks")
        figures.append("networks")
    return [
        *(f"{FOLDER}/{name}.tsv" for name in tables),
        *(f"{FOLDER}/{name}.png" for name in figures),
        f"{FOLDER}/summary.md",
    ]
