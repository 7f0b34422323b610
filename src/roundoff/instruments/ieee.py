"""The control: ordinary arithmetic, one thread, the same bits every time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from roundoff.instruments.base import Evidence


class Ieee:
    """No perturbation; `under="valgrind"`: with the kernels that run under Valgrind."""

    name = "ieee"

    def __init__(
        self, under: Literal["valgrind"] | None = None, **settings: Any
    ) -> None:
        """`settings`: where Valgrind is, which the driver needs and the control not."""
        self.under = under

    def settings(self) -> Mapping[str, Any]:
        """Rounding to nearest, as the hardware does."""
        where = {"under": self.under} if self.under else {}
        return {"mode": "nearest", **where}

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Run the block as it is; the seed changes nothing.

        Raises `RoundoffError` where Valgrind was promised and is not there.
        """
        if self.under:
            from roundoff.instruments.under_verrou import require_valgrind

            require_valgrind()
        yield {"perturbed_operations": 0}
