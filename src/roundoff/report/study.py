"""A study: the models, subjects and instrument a report is about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundoff import layout
from roundoff.models.base import ModelSpec


@dataclass(frozen=True)
class Study:
    """What was computed, in the order of the configuration."""

    models: tuple[ModelSpec, ...]
    subjects: tuple[str, ...]
    instrument: str

    def __iter__(self) -> Iterator[tuple[ModelSpec, str]]:
        """(model, subject) pairs."""
        return ((m, s) for m in self.models for s in self.subjects)

    def files(self, spec: ModelSpec, subject: str) -> dict[str, str]:
        """Maps and tables of one pair, by role."""
        return layout.uncertainty_files(spec, subject, self.instrument)

    def figures(self, spec: ModelSpec, subject: str) -> dict[str, str]:
        """Figures of one pair, by role."""
        return layout.figure_files(spec, subject, self.instrument)

    def summary(self, spec: ModelSpec, subject: str) -> dict[str, Any]:
        """What is known about the samples of one pair."""
        return json.loads(Path(self.files(spec, subject)["summary"]).read_text())
