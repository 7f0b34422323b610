"""What the scripts of `scripts/` share: failing, arguments, progress."""

import argparse
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
    """Call a script's `main`; a `RoundoffError` becomes one message and status 2.

    A script that was sent into a container refuses to run anywhere else.
    """
    try:
        require_place()
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
