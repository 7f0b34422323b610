"""The registry of models: `registry.yaml` and the user's own entries."""

import dataclasses
import difflib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from roundoff.errors import RoundoffError
from roundoff.models.base import Grid, MapSpec, ModelSpec

REQUIRED = ("title", "task", "weights_kind", "factory", "maps")


def load_registry(extra: Mapping[str, Mapping] | None = None) -> dict[str, ModelSpec]:
    """All models by name; `extra` adds entries or changes fields of known ones.

    An entry of `extra` under a known name overrides the fields it states and keeps
    the others, so that pointing a model to other weights takes one line.
    Raises RoundoffError naming the entry and field that is wrong.
    """
    entries: dict[str, dict[str, Any]] = dict(_shipped())
    for name, entry in (extra or {}).items():
        where = f"custom_models.{name}"
        if not isinstance(entry, Mapping):
            raise RoundoffError(f"{where}: expected fields (title: ...), got {entry!r}")
        entries[name] = entries.get(name, {}) | dict(entry)
    return {name: _spec(name, entry) for name, entry in entries.items()}


def get_model(
    name: str, extra: Mapping[str, Mapping] | None = None, field: str = "models"
) -> ModelSpec:
    """The model of that name; `field` names the setting in the error."""
    registry = load_registry(extra)
    if name in registry:
        return registry[name]
    near = difflib.get_close_matches(name, registry, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise RoundoffError(
        f"{field}: no model is called {name!r}. {hint}Known: {', '.join(registry)}."
    )


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    text = files("roundoff.models").joinpath("registry.yaml").read_text("utf-8")
    return yaml.safe_load(text)


def _spec(name: str, entry: Mapping[str, Any]) -> ModelSpec:
    where = f"model {name!r}"
    known = {f.name for f in dataclasses.fields(ModelSpec)} - {"name"}
    _refuse_unknown(entry, known, where)
    missing = [key for key in REQUIRED if key not in entry]
    if missing:
        raise RoundoffError(
            f"{where}: {', '.join(missing)} missing; see docs/models.md"
        )
    package, colon, function = str(entry["factory"]).partition(":")
    if not (package and colon and function):
        raise RoundoffError(
            f"{where}: factory is {entry['factory']!r}, expected 'package.module:name'"
        )
    return ModelSpec(
        **{key: entry[key] for key in REQUIRED if key != "maps"},
        name=name,
        weights=_strings(entry.get("weights") or {}, f"{where}, weights"),
        grid=_grid(entry.get("grid") or {}, where),
        maps=_maps(entry["maps"], where),
        labels=entry.get("labels"),
        options=dict(entry.get("options") or {}),
        sha256=_strings(entry.get("sha256") or {}, f"{where}, sha256"),
    )


def _refuse_unknown(entry: Mapping, known: set[str], where: str) -> None:
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {sorted(known)}."
            raise RoundoffError(f"{where}: no field is called {key!r}. {hint}")


def _strings(weights: Any, where: str) -> dict[str, str]:
    if not isinstance(weights, Mapping) or not all(
        isinstance(value, str) for value in weights.values()
    ):
        raise RoundoffError(
            f"{where}: expected one text per role, such as "
            f"{{network: deepbrain}}, got {weights!r}"
        )
    return dict(weights)


def _grid(fields: Mapping[str, Any], where: str) -> Grid:
    _refuse_unknown(
        fields, {f.name for f in dataclasses.fields(Grid)}, f"{where}, grid"
    )
    fields = dict(fields)
    shape = fields.setdefault("shape", Grid.shape)
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise RoundoffError(f"{where}: grid.shape is {shape!r}, expected three sizes")
    fields["shape"] = tuple(shape)
    grid = Grid(**fields)
    if not (isinstance(grid.voxel_size, int | float) and grid.voxel_size > 0):
        raise RoundoffError(f"{where}: grid.voxel_size is {grid.voxel_size!r} (mm)")
    return grid


def _maps(entries: Any, where: str) -> tuple[MapSpec, ...]:
    if not isinstance(entries, list) or not entries:
        raise RoundoffError(
            f"{where}: maps names at least one continuous output, such as "
            "[{name: logit, title: logit}]"
        )
    known = {f.name for f in dataclasses.fields(MapSpec)}
    for entry in entries:
        _refuse_unknown(entry, known, f"{where}, maps")
        if not str(entry.get("name", "")).isalnum():
            raise RoundoffError(
                f"{where}: a map is called {entry.get('name')!r}; names are letters "
                "and digits only, since file names carry them"
            )
    return tuple(MapSpec(**({"title": entry["name"]} | entry)) for entry in entries)
