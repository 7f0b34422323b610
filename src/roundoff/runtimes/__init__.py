"""Commands in containers: built, run, and proved to have run there."""

from roundoff.runtimes.command import ENGINES, Limits, wrap
from roundoff.runtimes.execute import run
from roundoff.runtimes.inside import describe_place, engine_here, require_place

__all__ = [
    "ENGINES",
    "Limits",
    "describe_place",
    "engine_here",
    "require_place",
    "run",
    "wrap",
]
