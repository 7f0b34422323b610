"""Which samples a study needs: the measured ones and their controls, by label."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from roundoff.layout import CONTROL

if TYPE_CHECKING:
    from roundoff.config import Config


@dataclass(frozen=True)
class Role:
    """Samples of one kind. `label` names their files (BIDS `rec`)."""

    label: str
    instrument: str
    samples: int
    settings: dict[str, Any] = field(default_factory=dict)


NEAREST, PLAIN = "nearest", "plain"
"""Controls of Verrou: its own rounding to nearest, and no Valgrind at all."""


def roles(config: "Config") -> dict[str, Role]:
    """The roles of a configuration by label, controls first.

    Under Verrou the control runs under Valgrind too, since Valgrind's processor makes
    some libraries choose other kernels; `nearest` must equal it bit for bit, and
    `plain`, the same without Valgrind, shows what Valgrind itself changes.
    """
    found = [Role(CONTROL, "ieee", config.control_samples)]
    if config.instrument == "native":
        found.append(Role("native", "native", config.samples, config.native.model_dump()))
    if config.instrument == "verrou":
        verrou = config.verrou.model_dump(exclude={"slices"}, exclude_none=True)
        place = {k: verrou[k] for k in ("valgrind", "library") if k in verrou}
        found = [
            Role(CONTROL, "ieee", config.control_samples, {"under": "valgrind"} | place),
            Role(NEAREST, "verrou", 1, verrou | {"mode": "nearest"}),
            Role(PLAIN, "ieee", 1),
            Role("verrou", "verrou", config.samples, verrou),
        ]
    return {role.label: role for role in found}


def controls(config: "Config") -> list[str]:
    """Labels of the roles that must all give the same outputs, bit for bit."""
    return [CONTROL, NEAREST] if config.instrument == "verrou" else [CONTROL]
