"""The instrument inside the process that Verrou runs: on around the numbers, then off.

Import, start-up, reading and writing stay unperturbed. The driver (`rerun`) starts the
process and completes the evidence from Verrou's log.
"""

import fnmatch
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roundoff.errors import RoundoffError
from roundoff.instruments import client as requests
from roundoff.instruments.base import Evidence
from roundoff.instruments.client import Client, connect
from roundoff.instruments.verrou import FLUSH_TO_ZERO, Settings

INSIDE = "ROUNDOFF_INSIDE"
"""Variable that tells a script it is the child: JSON with folder, binding, at_start."""

NOT_SWITCHED = 75
"""Exit status of a child whose requests did not reach Verrou."""


def inside() -> dict[str, Any] | None:
    """What the driver told this process; None in a process of the user's."""
    text = os.environ.get(INSIDE)
    return json.loads(text) if text else None


def require_valgrind() -> Client:
    """A connection, once it is sure that this process runs under Valgrind.

    Raises `RoundoffError` otherwise: the sample would be plain arithmetic.
    """
    told = inside() or {}
    binding = told.get("binding")
    client = connect(Path(binding) if binding else None)
    if client.name == "stub" and not client.running():
        raise RoundoffError(
            "verrou: this process does not run under Valgrind, so nothing would be "
            "perturbed. Start the script without ROUNDOFF_INSIDE in the environment."
        )
    return client


class Verrou:
    """Verrou's perturbation of this process, from the first `sample` block on."""

    name = "verrou"

    def __init__(self, **settings: Any) -> None:
        """Settings of the section `verrou` of the configuration."""
        self.options = Settings.of(settings)
        self.warm_up = bool(settings.get("warm_up"))
        self._client: Client | None = None
        self._on = False
        self._modules: dict[str, Any] = {}

    def settings(self) -> Mapping[str, Any]:
        """Mode, libm, exclusions, layers; the order is the one that really ran."""
        return {**self.options.as_dict(), "order": "as executed, AVX2 kernels"}

    def attach(self, modules: Mapping[str, Any]) -> None:
        """Remember a model's modules, for `layers`."""
        self._modules = dict(modules)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep instrumentation on over several samples: switching drops all code."""
        self._switch_on()
        try:
            yield
        finally:
            self._client.request(requests.STOP)
            self._on = False

    @contextmanager
    def sample(self, seed: int) -> Iterator[Evidence]:
        """Perturb the block, its random stream starting at `seed`."""
        if not self._on:
            with self.session(), self.sample(seed) as evidence:
                yield evidence
            return
        told = inside() or {}
        client = self._client
        evidence: Evidence = {
            "client": client.name,
            "instrumented_from": "process start" if told.get("at_start") else "region",
            "flush_to_zero": FLUSH_TO_ZERO,
        }
        with self._layers() as layers:
            before = client.request(requests.COUNT_INSTRUMENTED)
            client.request(requests.SET_SEED, seed)
            yield evidence
            after = client.request(requests.COUNT_INSTRUMENTED)
        evidence["layers"] = layers
        # The request answers modulo 2**32; the driver puts the log's count here.
        evidence["perturbed_operations"] = (after - before) % 2**32

    def _switch_on(self) -> None:
        """Start instrumentation and see it act on a division, or leave at once."""
        self._client = require_valgrind()
        if (inside() or {}).get("at_start"):
            self._on = True
            return
        self._client.request(requests.START)
        before = self._client.request(requests.COUNT_INSTRUMENTED)
        _divide()
        if self._client.request(requests.COUNT_INSTRUMENTED) == before:
            print(
                "verrou: instrumentation could not be switched on by client request "
                f"({self._client.name})",
                file=sys.stderr,
            )
            raise SystemExit(NOT_SWITCHED)
        self._on = True

    @contextmanager
    def _layers(self) -> Iterator[list[str]]:
        """Perturb the chosen modules only, where there is a choice.

        Each switch drops the translated code (a second or so), but outside the modules
        the code then runs at Valgrind's own speed, a tenth of Verrou's cost.
        """
        if not self.options.layers:
            yield []
            return
        chosen = choose_modules(self._modules, self.options.layers)
        request, depth = self._client.request, 0

        def enter(*_: Any) -> None:
            nonlocal depth
            depth += 1
            if depth == 1:
                request(requests.START)

        def leave(*_: Any) -> None:
            nonlocal depth
            depth -= 1
            if depth == 0:
                request(requests.STOP)

        handles = [m.register_forward_pre_hook(enter) for m in chosen.values()]
        handles += [
            m.register_forward_hook(leave, always_call=True) for m in chosen.values()
        ]
        request(requests.STOP)
        try:
            yield list(chosen)
        finally:
            request(requests.START)
            for handle in handles:
                handle.remove()


def choose_modules(modules: Mapping[str, Any], patterns: tuple[str, ...]) -> dict:
    """Modules whose path matches a pattern, by path ("coronal.encode1").

    `modules`: networks by name. Raises `RoundoffError` for a pattern without a match.
    """
    known = {
        f"{name}.{path}" if path else name: module
        for name, network in modules.items()
        for path, module in network.named_modules()
    }
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            top = [path for path in known if path.count(".") <= 1]
            raise RoundoffError(
                f"verrou.layers: {pattern!r} names no module of this model. Some: "
                f"{', '.join(top[:20])}"
            )
    return {
        path: module
        for path, module in known.items()
        if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)
    }


def _divide() -> None:
    import torch

    torch.full((64,), 0.1).div(3.0)
