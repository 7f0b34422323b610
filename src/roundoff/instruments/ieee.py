"""The control: ordinary arithmetic, one thread, the same bits every time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from roundoff.instruments.base import Evidence


class Ieee:
    """No perturbation."""

    name = "ieee"

    def settings(self) -> Mapping[str, Any]:
        """Rounding to nearest, as the hardware does."""
        return {"mode": "nearest"}

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Run the block as it is; the seed changes nothing."""
        yield {"perturbed_operations": 0}
