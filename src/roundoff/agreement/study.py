"""What the agreement study computes and where its files lie, for the workflow."""

import json
from collections.abc import Mapping

from roundoff.config import Config
from roundoff.errors import RoundoffError
from roundoff.instruments.installation import find_valgrind
from roundoff.instruments.reduction import reduce_slices
from roundoff.instruments.roles import verrou_settings
from roundoff.instruments.verrou import canonical_mode
from roundoff.layout import RESULTS, sample_label
from roundoff.models.base import ModelSpec
from roundoff.models.registry import get_model
from roundoff.seeds import derive_seed

SIDES = ("native", "verrou")
FOLDER = f"{RESULTS}/agreement"


class AgreementStudy:
    """The first subject, the models of `agreement`, both instruments, same slices.

    `runtime`: where samples run; in a container its own Verrou serves.
    """

    def __init__(self, config: Config, subject: str, runtime: str = "host") -> None:
        self.config, self.subject, self.runtime = config, subject, runtime
        self.models = {name: self._model(name) for name in config.agreement.models}

    def _model(self, name: str) -> ModelSpec:
        options = self.config.model_options.get(name, {})
        spec = get_model(name, self.config.custom_models, "agreement.models")
        spec = spec.with_options(options)
        return reduce_slices(spec, self.config.verrou.slices, options)

    def missing(self) -> str:
        """Why there is no Verrou and how to get it; empty where there is one."""
        if self.runtime != "host":
            return ""  # an image without one says so when a sample starts
        verrou = self.config.verrou
        try:
            find_valgrind(verrou.valgrind, verrou.library)
        except RoundoffError as error:
            return str(error)
        return ""

    def results(self, wildcards: object = None) -> list[str]:
        """Tables and figures, or nothing where Verrou is missing."""
        if self.missing():
            return []
        stems = [f"{FOLDER}/{name}_sub-{self.subject}" for name in self.models]
        return [f"{stem}.{kind}" for stem in stems for kind in ("tsv", "png")]

    def folder(self, model: str, subject: str, instrument: str, sample: str) -> str:
        """Folder of one sample; arguments may be wildcards in braces."""
        return f"{FOLDER}/samples/{model}/sub-{subject}_{instrument}_{sample}"

    def files(self, model: str) -> dict[str, str]:
        """Outputs of the rule of a sample, by role, wildcards open."""
        place = self.folder(model, "{subject}", "{instrument}", "{sample}")
        spec = self.models[model]
        roles = [f"map_{m.name}" for m in spec.maps] + ["labels"] * bool(spec.labels)
        images = {role: f"{place}/{role}.nii.gz" for role in roles}
        return images | {f"json_{role}": f"{place}/{role}.json" for role in roles}

    def outputs(self, wildcards: Mapping, model: str) -> list[str]:
        """--output arguments of one sample."""
        images = {k: v for k, v in self.files(model).items() if v.endswith(".nii.gz")}
        return [
            f"--output {role}={path.format(**dict(wildcards.items()))}"
            for role, path in images.items()
        ]

    def folders(self, wildcards: Mapping, model: str, instrument: str) -> list[str]:
        """Folders of all samples of a subject by one instrument."""
        subject = dict(wildcards.items())["subject"]
        numbers = range(1, self.config.agreement.samples + 1)
        return [
            self.folder(model, subject, instrument, sample_label(i)) for i in numbers
        ]

    def samples(self, wildcards: Mapping, model: str) -> list[str]:
        """First map of every sample of a subject by both instruments."""
        first = f"map_{self.models[model].maps[0].name}.nii.gz"
        places = [f for side in SIDES for f in self.folders(wildcards, model, side)]
        return [f"{place}/{first}" for place in places]

    def settings(self, wildcards: Mapping) -> str:
        """Settings of a side as JSON: one mode, and the order Valgrind sees."""
        verrou = verrou_settings(self.config)
        if dict(wildcards.items())["instrument"] == "verrou":
            return json.dumps(verrou)
        mode = canonical_mode(verrou["mode"])
        return json.dumps({"mode": mode, "order": "verrou"})

    def seed(self, wildcards: Mapping, model: str) -> int:
        """Seed of a sample; none is shared with the samples of the main study."""
        w = dict(wildcards.items())
        side = f"agreement {w['instrument']}"
        return derive_seed(
            self.config.seed, w["subject"], model, side, int(w["sample"])
        )
