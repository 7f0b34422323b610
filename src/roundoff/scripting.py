"""What the scripts of `scripts/` share: failing, role=path arguments, progress."""

import sys
import time
from collections.abc import Callable, Iterable

from roundoff.errors import RoundoffError


def run(main: Callable[[], None]) -> None:
    """Call a script's `main`; a `RoundoffError` becomes one message and status 2."""
    try:
        main()
    except RoundoffError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def assignments(items: Iterable[str]) -> dict[str, str]:
    """Turn ["role=path", ...] into {"role": "path", ...}."""
    pairs = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise RoundoffError(f"{item!r} is not of the form ROLE=PATH")
        pairs[key] = value
    return pairs


def progress(title: str, every: float = 5.0) -> Callable[[float, str], None]:
    """A callback that reports the fraction done on stderr, at most each few seconds."""
    start = last = time.monotonic()

    def report(fraction: float, words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < every and fraction < 1:
            return
        last = now
        left = (now - start) * (1 - fraction) / max(fraction, 1e-6)
        print(
            f"{title}: {fraction:4.0%} {words} ({left:.0f} s left)",
            file=sys.stderr,
            flush=True,
        )

    return report
