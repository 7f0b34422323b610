"""Arguments of the sweep's script from the configuration, for the rules."""

import json
import shlex

from roundoff.config.models import Config
from roundoff.models.base import ModelSpec


def arguments(config: Config, spec: ModelSpec, job: str = "brain") -> str:
    """Quoted arguments that are the same for all jobs of a kind ("skip", "bits", ...).

    Only what a job depends on, so that changing anything else does not rerun it.
    """
    sweep = config.nan_sweep
    options = {
        "model": spec.name,
        "options": json.dumps(dict(spec.options)),
        "custom-models": json.dumps(config.custom_models),
    }
    if job != "brain":
        thresholds = {
            "aggressive": getattr(sweep.aggressive, spec.task, [1.0]),
            "conservative": sweep.conservative,
        }
        options |= {
            "thresholds": json.dumps(thresholds),
            "epsilons": json.dumps(sweep.epsilons),
            "seed": config.seed,
        }
        if spec.task == "denoising":
            options["noise"] = sweep.noise
    if job == "skip":
        options["stride"] = sweep.stride
    if job == "bits":
        options["samples"] = sweep.bits_samples
        options["rounding"] = json.dumps(config.native.model_dump())
    if job == "time":
        options |= {"repeats": sweep.repeats, "threads": sweep.threads}
    return " ".join(f"--{k} {shlex.quote(str(v))}" for k, v in options.items())
