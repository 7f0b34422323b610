"""Instruments by name."""

from typing import Any

from roundoff.errors import RoundoffError
from roundoff.instruments.base import Instrument


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
