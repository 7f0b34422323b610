"""The command line of scripts/plan.py for a configuration."""

import json

from roundoff.config import Config


def plan_arguments(
    config: Config, subjects: int, weights: dict[str, dict[str, str]]
) -> list[str]:
    """Arguments that describe the study; `weights`: role to file, by model."""
    options = {name: config.model_options.get(name, {}) for name in config.models}
    place = ["--library", config.verrou.library] if config.verrou.library else []
    return [
        "--models", *config.models,
        "--custom-models", json.dumps(config.custom_models),
        "--options", json.dumps(options),
        "--weights", json.dumps(weights),
        "--subjects", str(subjects),
        "--samples", str(config.samples),
        "--controls", str(config.control_samples),
        "--confidence", str(config.confidence),
        "--instrument", config.instrument,
        "--slices", str(config.verrou.slices or 0),
        "--valgrind", config.verrou.valgrind,
        *place,
    ]  # fmt: skip
