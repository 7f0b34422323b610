"""What every script of `scripts/` shares: its way to fail."""

import sys
from collections.abc import Callable

from roundoff.errors import RoundoffError


def run(main: Callable[[], None]) -> None:
    """Call a script's `main`; a `RoundoffError` becomes one message and status 2."""
    try:
        main()
    except RoundoffError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
