"""One interface to every instrument."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from roundoff.errors import RoundoffError

Evidence = dict[str, Any]
"""What an instrument can show for itself after a sample: counts, settings."""


class Instrument(Protocol):
    """Perturbs the arithmetic inside a `with` block."""

    name: str

    def settings(self) -> Mapping[str, Any]:
        """What identifies the perturbation, for the sidecar."""
        ...

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Perturb the block; the evidence yielded is filled when it ends."""
        ...


def get_instrument(name: str, **settings: Any) -> Instrument:
    """The instrument of that name.

    Raises `RoundoffError` for an unknown name or unusable settings.
    """
    if name == "ieee":
        from roundoff.instruments.ieee import Ieee

        return Ieee(**settings)
    if name == "native":
        from roundoff.instruments.native import Native

        return Native(**settings)
    if name == "verrou":
        from roundoff.instruments.under_verrou import Verrou

        return Verrou(**settings)
    raise RoundoffError(
        f"instrument: {name!r} is unknown. Known: ieee, native, verrou."
    )
