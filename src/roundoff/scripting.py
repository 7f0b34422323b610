"""What the scripts of `scripts/` share: failing, arguments, progress."""

import argparse
import errno
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from roundoff.errors import RoundoffError
from roundoff.runtimes.inside import require_place

if TYPE_CHECKING:
    from roundoff.models.base import ModelSpec
    from roundoff.report.study import Study


def run(main: Callable[[], None]) -> None:
    """Call a script's `main`; what a user can mend becomes one message and status 2.

    A script that was sent into a container refuses to run anywhere else.
    """
    try:
        require_place()
        main()
    except RoundoffError as error:
        words = str(error)
    except (MemoryError, OSError, RuntimeError) as error:
        words = _of_the_machine(error)
        if words is None:
            raise
    else:
        return
    print(f"error: {words}", file=sys.stderr)
    raise SystemExit(2)


def _of_the_machine(error: Exception) -> str | None:
    """What to do about a full disk, too little memory or a folder without access."""
    number, text = getattr(error, "errno", None), str(error).partition("\n")[0]
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return (
            f"out of memory ({text}). Run fewer jobs at once (--cores), give the job "
            "more memory (--set-resources RULE:mem_mb=...), and run again."
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full ({text}). Free some space and run again: nothing "
            "half-written is left, and what is done stays done."
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write ({text}). Mend it and run again."
    return None


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
        left = ""
        if 0.02 < fraction < 1:
            left = f" ({(now - start) * (1 - fraction) / fraction:.0f} s left)"
        print(f"{title}: {fraction:4.0%} {words}{left}", file=sys.stderr, flush=True)

    return report


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options that name a model: its entry, its options, the user's entries."""
    add = parser.add_argument
    add("--model", required=True, help="name in the registry")
    add("--options", type=json.loads, default={}, help="JSON: options of the model")
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")


def model_of(args: argparse.Namespace) -> "ModelSpec":
    """The model the options name; its factory may lie where the script runs."""
    from roundoff.models.registry import get_model

    sys.path.append(str(Path.cwd()))
    return get_model(args.model, args.custom_models).with_options(args.options)


def add_study(parser: argparse.ArgumentParser) -> None:
    """Options that name a study: models, subjects, instrument."""
    add = parser.add_argument
    add("--models", nargs="+", required=True, help="names in the registry")
    add("--custom-models", type=json.loads, default={}, help="JSON: user's entries")
    add("--subjects", nargs="+", required=True)
    add("--instrument", required=True)


def study_of(args: argparse.Namespace) -> "Study":
    """The study the options name."""
    from roundoff.models.registry import get_model
    from roundoff.report.study import Study

    models = tuple(get_model(name, args.custom_models) for name in args.models)
    return Study(models, tuple(args.subjects), args.instrument)
