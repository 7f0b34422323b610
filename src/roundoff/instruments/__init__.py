"""How arithmetic is perturbed: `ieee` (not at all) and `native` (random rounding)."""

from roundoff.instruments.base import Instrument, get_instrument

__all__ = ["Instrument", "get_instrument"]
