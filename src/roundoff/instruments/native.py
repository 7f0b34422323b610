"""Roundoff's own random rounding as an instrument."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from roundoff.errors import RoundoffError
from roundoff.instruments.base import Evidence


class Native:
    """Random rounding of every elementary operation (`roundoff.RandomRounding`)."""

    name = "native"

    def __init__(
        self, mode: str = "random", order: str = "native", strict: bool = True
    ) -> None:
        """Modes and orders: see `roundoff.rounding`."""
        self.mode, self.order, self.strict = mode, order, strict

    def settings(self) -> Mapping[str, Any]:
        """Mode, summation order and strictness."""
        return {"mode": self.mode, "order": self.order, "strict": self.strict}

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Round at random inside the block.

        Raises `RoundoffError` when the block ends without one perturbed operation: a
        silent instrument would look like perfect stability.
        """
        from roundoff.rounding import RandomRounding, UnsupportedOperator

        evidence: Evidence = {}
        try:
            with RandomRounding(
                mode=self.mode, seed=seed, order=self.order, strict=self.strict
            ) as rounding:
                yield evidence
        except UnsupportedOperator as error:
            raise RoundoffError(f"native: {error}") from error
        coverage = rounding.coverage
        evidence["perturbed_operations"] = coverage.operations
        evidence["coverage"] = coverage.as_dict()
        if not coverage.operations and self.mode != "nearest":
            raise RoundoffError(
                "native: the instrument perturbed nothing. The model's arithmetic "
                "does not pass through PyTorch's dispatcher in this thread."
            )
