"""From what a user wrote to a checked configuration, or to one clear error."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from roundoff.config.models import Config
from roundoff.data.sources import load_sources
from roundoff.errors import RoundoffError
from roundoff.models.registry import load_registry

ROWS, TABLE = "list[", "str"  # how pydantic calls the two forms of `subjects`


def load_config(raw: Mapping[str, Any]) -> Config:
    """Check a raw configuration (parsed YAML).

    Raises `RoundoffError` that lists every wrong field with its fix.
    """
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        lines = [explain(item) for item in error.errors() if _is_meant(item, raw)]
        raise RoundoffError(
            "config.yaml is refused:\n  " + "\n  ".join(lines)
        ) from None
    registry = load_registry(config.custom_models)
    for index, name in enumerate(config.models):
        if name not in registry:
            raise RoundoffError(_unknown(f"models[{index}]", name, list(registry)))
    if config.embeddings.model not in registry:
        name = config.embeddings.model
        raise RoundoffError(_unknown("embeddings.model", name, list(registry)))
    for index, name in enumerate(config.agreement.models):
        if name not in registry:
            field = f"agreement.models[{index}]"
            raise RoundoffError(_unknown(field, name, list(registry)))
    for index, name in enumerate(config.nan_sweep.models):
        if name not in registry:
            field = f"nan_sweep.models[{index}]"
            raise RoundoffError(_unknown(field, name, list(registry)))
    if config.nan_sweep.brain_model not in registry:
        name = config.nan_sweep.brain_model
        raise RoundoffError(_unknown("nan_sweep.brain_model", name, list(registry)))
    for name in config.model_options:
        if name not in registry:
            raise RoundoffError(_unknown("model_options", name, list(registry)))
    return config


def require_weights(config: Config) -> None:
    """Require the user's own weights files of the models that will run.

    Raises `RoundoffError` naming model, role and file. Fetched weights are checked by
    SHA-256 where they are fetched and used.
    """
    known, registry = load_sources(), load_registry(config.custom_models)
    for name in config.models:
        for role, weights in registry[name].weights.items():
            made = weights.startswith(("results/", "resources/"))  # by other rules
            if not (weights in known or made or Path(weights).is_file()):
                raise RoundoffError(
                    f"{name}.weights.{role}: there is no file {weights}. Correct the "
                    "path in the configuration (relative paths start where snakemake "
                    "is run), or fetch the weights first."
                )


def _unknown(field: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{field}: unknown model {name!r}. {hint}Known: {', '.join(known)}."


def _is_meant(item: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    """Whether an error is about the alternative of `subjects` the user chose."""
    if item["loc"][0] != "subjects" or len(item["loc"]) < 2:
        return True
    chosen = TABLE if isinstance(raw["subjects"], str) else ROWS
    return str(item["loc"][1]).startswith(chosen)


def explain(item: Mapping[str, Any]) -> str:
    """One line for one pydantic error: field, what is wrong, what to write."""
    place = item["loc"]
    # The alternative of `subjects` (rows or a table) appears in the path.
    place = tuple(p for p in place if not str(p).startswith(ROWS) and p != TABLE)
    field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    field = field.lstrip(".")
    value = item["input"]
    if (place and place[-1] in ("id", "participants")) or "participants" in place:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (
                f"{field}: {value} is a number, so leading zeros may already be lost "
                "(YAML even reads 0025011 as octal, 10761). Quote it as it stands in "
                'your data, e.g. "0025011".'
            )
        if item["type"] == "string_pattern_mismatch":
            return f"{field}: {value!r} may hold only letters and digits (BIDS label)."
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), list(Config.model_fields), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{field}: there is no such setting.{hint}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{field}: {message} (got {value!r})."
