"""Which samples a study needs: the measured ones and their controls, by label."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from roundoff.layout import CONTROL

if TYPE_CHECKING:
    from roundoff.config import Config

NEAREST, PLAIN = "nearest", "plain"
"""Controls of Verrou: its own rounding to nearest, and no Valgrind at all."""


@dataclass(frozen=True)
class Role:
    """Samples of one kind. `label` names their files (BIDS `rec`)."""

    label: str
    instrument: str
    samples: int
    settings: dict[str, Any] = field(default_factory=dict)


def roles(config: "Config") -> dict[str, Role]:
    """The roles of a configuration by label, controls first.

    Under Verrou the control runs under Valgrind too, since Valgrind's processor makes
    some libraries choose other kernels; `nearest` must equal it bit for bit, and
    `plain`, the same without Valgrind, shows what Valgrind itself changes.
    """
    verrou = verrou_settings(config)
    control = Role(CONTROL, "ieee", config.control_samples)
    if config.instrument == "verrou":
        place = {k: verrou[k] for k in ("valgrind", "library") if k in verrou}
        found = [
            Role(CONTROL, "ieee", control.samples, {"under": "valgrind"} | place),
            Role(NEAREST, "verrou", 1, verrou | {"mode": "nearest"}),
            Role(PLAIN, "ieee", 1, {"kernels": "avx2"}),
            Role("verrou", "verrou", config.samples, verrou),
        ]
    elif config.instrument == "native":
        native = config.native.model_dump()
        found = [control, Role("native", "native", config.samples, native)]
    else:
        found = [control]
    return {role.label: role for role in found}


def verrou_settings(config: "Config") -> dict[str, Any]:
    """The section `verrou` as an instrument takes it."""
    return config.verrou.model_dump(exclude={"slices"}, exclude_none=True)


def controls(config: "Config") -> list[str]:
    """Labels of the roles that must all give the same outputs, bit for bit."""
    return [CONTROL, NEAREST] if config.instrument == "verrou" else [CONTROL]
