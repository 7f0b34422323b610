"""Command lines of the training, from the configuration (for the workflow)."""

import shlex

from roundoff.config.training import Training

CHANGES = ("steps", "batch", "patience", "memory")


def launch(training: Training) -> str:
    """What starts the script: Python, or torchrun for several processes."""
    if training.processes == 1:
        return "python"
    return (
        "python -m torch.distributed.run --standalone "
        f"--nproc-per-node {training.processes}"
    )


def maps_option(training: Training) -> str:
    """The option naming label maps, quoted; empty without."""
    if not training.label_maps:
        return ""
    return "--label-maps " + shlex.join(training.label_maps)


def changes(training: Training) -> str:
    """Options of the settings that replace the size's own."""
    given = {name: getattr(training, name) for name in CHANGES}
    return " ".join(f"--{k} {v}" for k, v in given.items() if v is not None)
