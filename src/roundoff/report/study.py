"""A study: the models, subjects and instrument a report is about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roundoff import layout
from roundoff.models.base import ModelSpec


@dataclass(frozen=True)
class Study:
    """What was computed, in the order of the configuration.

    `only`: the (model name, subject) pairs it is restricted to; None for all.
    """

    models: tuple[ModelSpec, ...]
    subjects: tuple[str, ...]
    instrument: str
    only: frozenset[tuple[str, str]] | None = None

    def __iter__(self) -> Iterator[tuple[ModelSpec, str]]:
        """(model, subject) pairs."""
        pairs = ((m, s) for m in self.models for s in self.subjects)
        return (
            (m, s) for m, s in pairs if self.only is None or (m.name, s) in self.only
        )

    def complete(self) -> "Study":
        """The part whose control passed and whose maps, tables and figures exist."""
        done = [(m, s) for m, s in self if self._is_complete(m, s)]
        names, people = {m.name for m, _ in done}, {s for _, s in done}
        return replace(
            self,
            models=tuple(m for m in self.models if m.name in names),
            subjects=tuple(s for s in self.subjects if s in people),
            only=frozenset((m.name, s) for m, s in done),
        )

    def _is_complete(self, spec: ModelSpec, subject: str) -> bool:
        files = [
            layout.control_file(spec.name, subject),
            *self.files(spec, subject).values(),
            *self.figures(spec, subject).values(),
        ]
        return all(Path(file).is_file() for file in files)

    def files(self, spec: ModelSpec, subject: str) -> dict[str, str]:
        """Maps and tables of one pair, by role."""
        return layout.uncertainty_files(spec, subject, self.instrument)

    def figures(self, spec: ModelSpec, subject: str) -> dict[str, str]:
        """Figures of one pair, by role."""
        return layout.figure_files(spec, subject, self.instrument)

    def summary(self, spec: ModelSpec, subject: str) -> dict[str, Any]:
        """What is known about the samples of one pair."""
        return json.loads(Path(self.files(spec, subject)["summary"]).read_text())
