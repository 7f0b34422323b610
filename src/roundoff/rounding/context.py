"""`RandomRounding`: every float operation of the block rounds at random."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from roundoff.rounding.coverage import Coverage
from roundoff.rounding.modules import ModuleTracker, matches

ALIASES = {"average": "nearness", "sr": "nearness"}
_THREAD = threading.local()
_FASTPATH = threading.Lock()
_fastpath_users: list[bool] = []  # the setting before the first context, once per user


def _stack() -> list["RandomRounding"]:
    if not hasattr(_THREAD, "stack"):
        _THREAD.stack = []
    return _THREAD.stack


@contextmanager
def _plain_attention():
    """Attention layers in their parts: the fused inference path hides its sums."""
    with _FASTPATH:
        before = torch.backends.mha.get_fastpath_enabled()
        _fastpath_users.append(before)
        torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        with _FASTPATH:
            original = _fastpath_users[0]
            _fastpath_users.pop()
            if not _fastpath_users:
                torch.backends.mha.set_fastpath_enabled(original)


class RandomRounding:
    """Context in which PyTorch rounds every elementary float operation at random.

    Example::

        with RandomRounding(mode="random", seed=3) as rounding, torch.inference_mode():
            y = model(x)
        print(rounding.coverage)

    Parameters
    ----------
    mode: `random` (up or down with probability 1/2), `nearness` (with the probability
        of the distance; also `average`, `sr`), `upward`, `downward`, `toward_zero`, or
        `nearest` (control).
    seed, sample: integers; the bits drawn depend on them, on the module path, on the
        call's number within the module, on the output element and on the step.
    order: summation order (see docs/random_rounding.md): `native`, `verrou`, ...
    strict: raise `UnsupportedOperator` on a float operator without a kernel; if
        False it runs unperturbed and is listed in `coverage`.
    include, exclude: globs of module paths (`encoder`, `decoder.*.norm`); a match
        takes everything below it. Excluding a module leaves the draws of the others.
    libm: `internal` (the roundings inside exp, log, ...), `output` (once per result)
        or `exclude`.
    threads: threads of the kernels; results do not depend on it.
    modules: a root module, or several by name, whose names are to be used where they
        are not called through their root.

    Raises ValueError for an unknown setting, or on exit for an `include` that matched
    no module; RuntimeError where the context is already active (here or in another
    thread: give each thread its own), or a module is scripted or compiled.
    The mode acts in the thread that entered it, forward and backward.
    """

    def __init__(
        self,
        mode: str = "random",
        seed: int = 0,
        order: str = "native",
        strict: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        libm: str = "internal",
        threads: int = 1,
        sample: int = 0,
        modules: torch.nn.Module | Mapping[str, torch.nn.Module] | None = None,
    ):
        from roundoff.rounding.plan import Plan

        self.mode = ALIASES.get(mode, mode)
        self._base = Plan(mode=self.mode, order=order, libm=libm, threads=threads)
        self.seed, self.sample = int(seed), int(sample)
        self.order, self.libm, self.threads = order, libm, threads
        self.strict = strict
        self.include = _globs("include", include)
        self.exclude = _globs("exclude", exclude)
        self.coverage = self._new_coverage()
        self._tracker = ModuleTracker(modules)
        self._guard = threading.Lock()
        self._exit: ExitStack | None = None

    def __repr__(self) -> str:
        return (
            f"RandomRounding(mode={self.mode!r}, seed={self.seed}, "
            f"order={self.order!r}, sample={self.sample})"
        )

    # -- entering and leaving ------------------------------------------------------

    def __enter__(self) -> "RandomRounding":
        from roundoff.rounding.dispatch import RoundingMode

        if not self._guard.acquire(blocking=False):
            raise RuntimeError(
                "this RandomRounding is already active, in this thread or another: "
                "create one object per thread and per nesting level"
            )
        self.coverage = self._new_coverage()
        self._calls: dict[str, int] = {}
        self._nodes: dict[int, str] = {}
        self._excluded: dict[str, bool] = {}
        with ExitStack() as stack:
            stack.callback(self._guard.release)
            _stack().append(self)
            stack.callback(_stack().remove, self)
            stack.enter_context(_plain_attention())
            stack.enter_context(self._tracker)
            stack.enter_context(RoundingMode(self))
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace) -> None:
        seen = set(self._tracker.seen)
        self._exit.__exit__(kind, error, trace)
        self._exit = None
        if kind is None:
            self._check_globs(seen)

    # -- what the dispatcher asks --------------------------------------------------

    def innermost(self) -> bool:
        """Whether no other context was entered inside this one."""
        stack = _stack()
        return bool(stack) and stack[-1] is self

    def module(self) -> str:
        """Path of the module at work; in backward, of the one whose forward it undoes.

        Operators between the node of a forward call and its gradient share the
        sequence number autograd gave them.
        """
        node = torch._C._current_autograd_node()
        if node is not None:
            return self._nodes.get(node._sequence_nr(), "")
        path = self._tracker.path
        if path and torch.is_grad_enabled():
            # the operator's own node is the last one made, if it has one at all
            self._nodes.setdefault(torch.autograd._get_sequence_nr() - 1, path)
        return path

    def next_key(self, module: str) -> int:
        """Stream key of the next kernel call in a module."""
        from roundoff.rounding.streams import stream_key

        if torch._C._current_autograd_node() is not None:
            module = f"{module}:backward"
        number = self._calls.get(module, 0)
        self._calls[module] = number + 1
        return stream_key(self.seed, self.sample, module, number)

    def next_plan(self, module: str) -> Any:
        """Plan of the next kernel call in a module: the settings and its own key."""
        from dataclasses import replace

        return replace(self._base, key=self.next_key(module))

    def excluded(self) -> bool:
        """Whether `include` and `exclude` leave the module at work alone."""
        if not (self.include or self.exclude):
            return False
        path = self.module()
        if path not in self._excluded:
            wanted = not self.include or matches(path, self.include)
            self._excluded[path] = not wanted or matches(path, self.exclude)
        return self._excluded[path]

    # -- helpers -------------------------------------------------------------------

    def _new_coverage(self) -> Coverage:
        coverage = Coverage()
        coverage.settings = {
            "mode": self.mode,
            "seed": self.seed,
            "sample": self.sample,
            "order": self.order,
            "libm": self.libm,
            "threads": self.threads,
            "strict": self.strict,
            "include": list(self.include),
            "exclude": list(self.exclude),
            "torch": torch.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
        return coverage

    def _check_globs(self, seen: set[str]) -> None:
        for field in ("include", "exclude"):
            for glob in getattr(self, field):
                if not any(matches(path, (glob,)) for path in seen):
                    known = ", ".join(sorted(filter(None, seen))[:12]) or "none"
                    raise ValueError(
                        f"{field}={glob!r} matched no module; module paths met: {known}"
                    )


def _globs(field: str, value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError(
            f"{field} must be a sequence of globs: write {field}=[{value!r}]"
        )
    return tuple(value)
