"""Which module an operator belongs to, followed by global forward hooks."""

import threading
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.nn.modules import module as hooks


def matches(path: str, patterns: Sequence[str]) -> bool:
    """True where a glob matches the module path or one of its ancestors.

    `encoder` and `encoder.*` both take everything below `encoder`; `=encoder` takes
    the operators of `encoder` itself alone, `=` those outside any submodule.
    """
    if f"={path}" in patterns:
        return True
    parts = path.split(".")
    ancestors = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(name, glob) for name in ancestors for glob in patterns)


def refuse_compiled(root: nn.Module) -> None:
    """Raise where a module's inside is hidden from the dispatcher.

    Raises RuntimeError for scripted, traced or compiled (sub)modules: fused kernels
    round where nobody can see it.
    """
    for name, module in root.named_modules():
        kind = None
        if isinstance(module, torch.jit.ScriptModule):
            kind = "scripted or traced (torch.jit)"
        elif (
            getattr(module, "_compiled_call_impl", None) is not None
            or type(module).__name__ == "OptimizedModule"
        ):
            kind = "compiled (torch.compile)"
        if kind:
            raise RuntimeError(
                f"module {name or type(module).__name__!r} is {kind}: its operations "
                "run in fused kernels that random rounding cannot see. Give the "
                "original eager module (for example `model._orig_mod`)."
            )


class ModuleTracker:
    """Path of the module whose forward runs now, in the thread that entered.

    `named`: names known in advance, a root module or several by name; otherwise the
    first module called with none active is a root and names are relative to it.
    """

    def __init__(self, named: nn.Module | Mapping[str, nn.Module] | None = None):
        self._names: dict[int, str] = {}
        self._keep: list[nn.Module] = []  # ids stay valid while roots are held
        self._given = named
        self.stack: list[tuple[nn.Module, str]] = []
        self.seen: set[str] = set()
        self._handles: list = []
        self._thread = None

    def __enter__(self) -> "ModuleTracker":
        self._thread = threading.get_ident()
        self.stack, self.seen = [], set()
        self._names, self._keep = {}, []
        given = self._given
        if isinstance(given, nn.Module):
            self._learn(given, "")
        elif given is not None:
            for name, module in given.items():
                self._learn(module, name)
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enter_module),
            hooks.register_module_forward_hook(self._leave_module, always_call=True),
        ]
        return self

    def __exit__(self, *exc_info) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self.stack, self._keep = [], [], []
        self._names = {}

    @property
    def path(self) -> str:
        """Dotted path of the active module, '' at the top level."""
        return self.stack[-1][1] if self.stack else ""

    def _learn(self, root: nn.Module, prefix: str) -> None:
        refuse_compiled(root)
        self._keep.append(root)
        for name, module in root.named_modules(prefix=prefix):
            self._names.setdefault(id(module), name)
            self.seen.add(name)

    def _enter_module(self, module: nn.Module, _inputs) -> None:
        if threading.get_ident() != self._thread:
            return
        if id(module) not in self._names:
            parent = self.path
            if self.stack:  # called from inside a module that does not own it
                own = type(module).__name__
                self._learn(module, f"{parent}.{own}" if parent else own)
            else:
                self._learn(module, "")
        self.stack.append((module, self._names[id(module)]))

    def _leave_module(self, module: nn.Module, _inputs, _output) -> None:
        if threading.get_ident() != self._thread:
            return
        if any(entry is module for entry, _ in self.stack):
            # an interrupted child may have left its own entry above this one
            while self.stack.pop()[0] is not module:
                pass
