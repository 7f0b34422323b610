"""How arithmetic is perturbed.

`ieee` not at all, `native` by Roundoff's random rounding, `verrou` by Valgrind's tool.
"""

from roundoff.instruments.base import Instrument
from roundoff.instruments.by_name import get_instrument

__all__ = ["Instrument", "get_instrument"]
