"""What every instrument offers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

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
