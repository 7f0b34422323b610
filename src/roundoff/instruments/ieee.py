"""The control: ordinary arithmetic, one thread, the same bits every time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from roundoff.instruments.base import Evidence


class Ieee:
    """No perturbation.

    `under="valgrind"`: with the kernels that run under Valgrind. `kernels="avx2"`: on
    the processor itself, capped to what Valgrind knows; made before PyTorch is used.
    """

    name = "ieee"

    def __init__(
        self,
        under: Literal["valgrind"] | None = None,
        kernels: Literal["avx2"] | None = None,
        **settings: Any,
    ) -> None:
        """`settings`: where Valgrind is, which the driver needs and the control not."""
        self.under, self.kernels = under, kernels
        if kernels:
            from roundoff.instruments.verrou import ENVIRONMENT

            os.environ.update(ENVIRONMENT)

    def settings(self) -> Mapping[str, Any]:
        """Rounding to nearest, as the hardware does."""
        own = {"under": self.under, "kernels": self.kernels}
        return {"mode": "nearest", **{k: v for k, v in own.items() if v}}

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Run the block as it is; the seed changes nothing.

        Raises `RoundoffError` where Valgrind was promised and is not there.
        """
        if self.under:
            from roundoff.instruments.under_verrou import require_valgrind

            require_valgrind()
        yield {"perturbed_operations": 0}
