"""Share a kernel's outputs among threads; the split never changes a result."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from roundoff.rounding.environment import (
    adopt_environment,
    captured_environment,
    nearest_on_exit,
)
from roundoff.rounding.plan import Plan


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="roundoff")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


def split_range(
    piece: Callable[[int, int], None], count: int, threads: int, smallest: int = 1
) -> None:
    """Call `piece(start, stop)` over range(count), in at most `threads` threads.

    Pieces have at least `smallest` items. Threads take over the caller's floating-point
    environment (flushing of subnormals) and are left in round-to-nearest. Exceptions of
    a piece are raised here, after all pieces have ended.
    """
    pieces = max(1, min(threads, count // max(smallest, 1)))
    edges = np.linspace(0, count, pieces + 1).astype(np.int64)

    environment = captured_environment()

    def run(number: int) -> None:
        with nearest_on_exit():
            adopt_environment(environment)
            piece(int(edges[number]), int(edges[number + 1]))

    if pieces == 1:
        run(0)
        return
    others = [_pool(pieces).submit(run, n) for n in range(1, pieces)]
    try:
        run(0)
    finally:
        errors = [other.exception() for other in others]
    for error in filter(None, errors):
        raise error


def run_in_chunks(
    compiled: Callable, count: int, plan: Plan, *arrays: object, smallest: int = 4096
) -> None:
    """Call `compiled(*arrays, start, stop, key, rounder, direction)` over range(count).

    The range is cut into at most `plan.threads` pieces of at least `smallest` items.
    The kernel must key its random bits by item, not by piece.
    """
    rest = (np.uint64(plan.key), plan.rounder, np.int32(plan.direction))

    def piece(start: int, stop: int) -> None:
        compiled(*arrays, start, stop, *rest)

    split_range(piece, count, plan.threads, smallest)
