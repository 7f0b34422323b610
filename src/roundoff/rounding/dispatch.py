"""From a dispatched PyTorch operator to the kernel that rounds it at random.

A `TorchDispatchMode` sees every operator below autograd. Each is resolved once:
a handler registered under its name, a list of operators that do not round, the
functional twin of an in-place or `out=` variant, or a decomposition into operators
that are themselves dispatched. What is left is an `UnsupportedOperator`.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from roundoff.rounding.coverage import EXACT as EXACT_STATUS
from roundoff.rounding.coverage import (
    EXCLUDED,
    PERTURBED,
    UNSUPPORTED,
    UnsupportedOperator,
)
from roundoff.rounding.ops.exact import EXACT, EXACT_OVERLOADS

Handler = Callable[..., Any]
_HANDLERS: dict[str, Handler] = {}
_DECOMPOSED: set[str] = set()
_RESOLVED: dict[Any, tuple[str, Any]] = {}


class NoKernel(Exception):  # noqa: N818
    """Raised by a handler for a variant of its operator that it cannot round."""


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler `f(call, *args, **kwargs)` for dispatcher names.

    Names read `aten.add.Tensor`; arguments arrive as the operator's schema has them.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            if name in _HANDLERS:
                raise ValueError(f"{name} already has a handler")
            _HANDLERS[name] = handler
        return handler

    return register


def decompose(*names: str) -> None:
    """Let PyTorch's own decomposition stand for these operators.

    Only where it makes the same elementary operations as the kernel it replaces.
    """
    _DECOMPOSED.update(names)


def tensors_in(args: Any) -> Iterator[torch.Tensor]:
    """Tensors of an argument list, one level of lists deep."""
    for arg in args:
        if isinstance(arg, torch.Tensor):
            yield arg
        elif isinstance(arg, list | tuple):
            yield from (item for item in arg if isinstance(item, torch.Tensor))


class Call:
    """One operator call as its handler sees it.

    `plan()` gives mode, order, threads and a fresh stream for one kernel call;
    `count(n)` books n elementary operations; `run(operator, ...)` dispatches a
    further operator under the same rounding.
    """

    __slots__ = ("_counted", "_mode", "func", "module", "name")

    def __init__(self, mode: "RoundingMode", func: Any, module: str):
        self._mode, self.func, self.module = mode, func, module
        self.name = str(func)
        self._counted = False

    def plan(self) -> Any:
        """Plan of the next kernel of this call: the settings and a fresh key."""
        return self._mode.state.next_plan(self.module)

    def key(self) -> int:
        """64-bit key of the next draw of this call."""
        return self._mode.state.next_key(self.module)

    @property
    def libm(self) -> str:
        """`internal`, `output` or `exclude`."""
        return self._mode.state.libm

    @property
    def plan_mode(self) -> str:
        """Rounding mode (its canonical name)."""
        return self._mode.state.mode

    def count(self, operations: int) -> None:
        """Book elementary operations (exact results among them included)."""
        coverage = self._mode.state.coverage
        if self._counted:
            coverage.add_operations(self.name, self.module, int(operations))
        else:
            coverage.add(self.name, self.module, PERTURBED, int(operations))
            self._counted = True

    def exact(self) -> None:
        """Book the call as one in which nothing is rounded."""
        self._mode.state.coverage.add(self.name, self.module, EXACT_STATUS)

    def order(self, name: str) -> None:
        """Note the summation order used."""
        orders = self._mode.state.coverage.orders
        orders.setdefault(f"{self.module}:{self.func.overloadpacket.__name__}", name)

    def run(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Dispatch a further operator (an overload) under the same rounding."""
        return self._mode.dispatch(func, args, kwargs)

    def mode(self) -> "RoundingMode":
        """Context manager: plain torch code inside is dispatched here again."""
        return self._mode


def load_handlers() -> None:
    """Import every family of operators (and with them numba), once."""
    folder = Path(__file__).parent / "ops"
    for file in sorted(folder.glob("*.py")):
        import_module(f"roundoff.rounding.ops.{file.stem}")


def _base_name(func: Any) -> str:
    name = func.overloadpacket.__name__
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def _functional(func: Any) -> Any | None:
    """The overload computing the same without writing into an argument."""
    schema = func._schema
    wanted = [(a.name, str(a.type)) for a in schema.arguments if not a.is_out]
    name = _base_name(func)
    namespace = getattr(torch.ops, func.namespace)
    packet = getattr(namespace, name, None)
    if packet is None:
        return None
    for overload in packet.overloads():
        twin = getattr(packet, overload)
        if twin is func or twin._schema.is_mutable:
            continue
        if [(a.name, str(a.type)) for a in twin._schema.arguments] == wanted:
            return twin
    return None


def _resolve(func: Any) -> tuple[str, Any]:
    """How to run an operator: (route, detail)."""
    name = str(func)
    if name in _HANDLERS:
        return "handler", _HANDLERS[name]
    plain = name.replace(f"{func.overloadpacket.__name__}.", f"{_base_name(func)}.")
    if plain in EXACT_OVERLOADS:
        return "exact", None
    if _base_name(func) in EXACT or func.namespace in ("profiler", "prim"):
        return "exact", None
    if func.is_view or torch.Tag.inplace_view in func.tags:
        return "exact", None
    if _base_name(func).startswith("_foreach_"):
        return "handler", _HANDLERS["foreach"]
    if func._schema.is_mutable:
        twin = _functional(func)
        if twin is not None and _resolve(twin)[0] != "unknown":
            outs = [a.name for a in func._schema.arguments if a.is_out]
            return ("out" if outs else "inplace"), (twin, outs)
    if name in _DECOMPOSED:
        from torch._decomp import decomposition_table

        return "decomposition", decomposition_table[func]
    if func.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    ) or (name in _DECOMPOSED):
        return "decomposition", func.decompose
    return "unknown", None


def resolve(func: Any) -> tuple[str, Any]:
    """Cached `_resolve`; a handler's families are loaded first."""
    found = _RESOLVED.get(func)
    if found is None:
        load_handlers()
        found = _RESOLVED[func] = _resolve(func)
    return found


def _write(call: Call, target: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Store a result in an existing tensor, rounding a narrowing conversion."""
    if value.dtype != target.dtype:
        value = call.run(torch.ops.aten._to_copy.default, value, dtype=target.dtype)
    if target.shape != value.shape:
        target.resize_(value.shape)
    return target.copy_(value)


class RoundingMode(TorchDispatchMode):
    """The dispatch mode of one active context (`state`: its settings and counters)."""

    def __init__(self, state: Any):
        super().__init__()
        self.state = state

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not self.state.innermost():  # an inner context has rounded already
            return func(*args, **kwargs)
        return self.dispatch(func, args, kwargs)

    def dispatch(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run one operator as its route says."""
        route, detail = resolve(func)
        tensors = list(tensors_in((*args, *kwargs.values())))
        if any(t.is_complex() for t in tensors) and route != "exact":
            raise UnsupportedOperator(
                f"{func} (complex numbers)",
                self.state.module(),
                [tuple(t.shape) for t in tensors],
            )
        if route == "exact":
            return self._exact(func, args, kwargs, tensors)
        if route == "decomposition":
            return self._decompose(func, detail, args, kwargs)
        if route != "unknown" and self.state.excluded():
            return self._left_alone(func, args, kwargs, tensors, EXCLUDED)
        if route == "handler":
            call = Call(self, func, self.state.module())
            try:
                return detail(call, *args, **kwargs)
            except NoKernel:
                return self._unknown(func, args, kwargs, tensors)
        if route in ("inplace", "out"):
            return self._into(func, *detail, args, kwargs)
        return self._unknown(func, args, kwargs, tensors)

    def _exact(self, func, args, kwargs, tensors):
        if any(t.is_floating_point() for t in tensors):
            self.state.coverage.add(str(func), self.state.module(), EXACT_STATUS)
        return func(*args, **kwargs)

    def _decompose(self, func, rule, args, kwargs):
        with self:
            result = rule(*args, **kwargs)
        if result is NotImplemented:
            return self._unknown(func, args, kwargs, list(tensors_in(args)))
        return result

    def _into(self, func, twin, outs, args, kwargs):
        call = Call(self, func, self.state.module())
        targets = [kwargs[name] for name in outs] if outs else [args[0]]
        kwargs = {k: v for k, v in kwargs.items() if k not in outs}
        result = self.dispatch(twin, args, kwargs)
        results = result if isinstance(result, tuple | list) else (result,)
        for target, value in zip(targets, results, strict=True):
            if target is not None:
                _write(call, target, value)
        return targets[0] if len(targets) == 1 else tuple(targets)

    def _left_alone(self, func, args, kwargs, tensors, status):
        if any(t.is_floating_point() for t in tensors):
            self.state.coverage.add(str(func), self.state.module(), status)
        return func(*args, **kwargs)

    def _unknown(self, func, args, kwargs, tensors):
        if any(t.is_floating_point() for t in tensors):
            if self.state.excluded():
                return self._left_alone(func, args, kwargs, tensors, EXCLUDED)
            if self.state.strict:
                shapes = [tuple(t.shape) for t in tensors]
                raise UnsupportedOperator(str(func), self.state.module(), shapes)
        return self._left_alone(func, args, kwargs, tensors, UNSUPPORTED)
