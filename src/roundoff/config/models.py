"""What `config.yaml` may hold; its comments are the descriptions here."""

from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from roundoff.config.classifiers import Classifiers
from roundoff.config.nan_sweep import NanSweep, TimeTrials
from roundoff.config.poolers import Poolers
from roundoff.config.relu_zero import ReluZero
from roundoff.config.runtime import Images, Runtime
from roundoff.config.section import Section
from roundoff.config.training import Training
from roundoff.config.verrou import Agreement, Verrou

Identifier = Annotated[str, Field(strict=True, min_length=1, pattern=r"^[A-Za-z0-9]+$")]
Instrument = Literal["native", "verrou", "ieee"]
Mode = Literal[
    "random", "nearness", "average", "sr", "upward", "downward", "toward_zero",
    "nearest",
]  # fmt: skip


class Subject(Section):
    """One T1-weighted volume."""

    id: Identifier
    source: str | None = Field(None, description="name of an embedded data source")
    path: str | None = Field(None, description="a file of yours (.nii, .nii.gz, .mgz)")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{64}$", description="checked before use, if given"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "Subject":
        if (self.source is None) == (self.path is None):
            raise ValueError(
                f"subject {self.id!r} needs either `source:` (an embedded scan) or "
                "`path:` (your own file), and not both"
            )
        return self


class Bids(Section):
    """Subjects from a BIDS folder."""

    dir: str
    participants: list[Identifier] | None = Field(
        None, description="labels without sub-; all participants when left out"
    )
    exclude: list[Identifier] = Field(
        default_factory=list, description="labels of participants to leave out"
    )
    session: Identifier | None = None
    filter_file: str | None = Field(
        None, description="BIDS filter file (JSON), section t1w, to choose among images"
    )


class Native(Section):
    """Settings of the native random rounding."""

    mode: Mode = "random"
    order: str = "native"
    strict: bool = True


class Embeddings(Section):
    """Settings of the target `embeddings`."""

    model: str = "fastsurfer_demo"
    view: Literal["axial", "coronal", "sagittal"] = "coronal"
    slice: int | None = Field(None, ge=0)
    samples: int = Field(10, ge=2)


class Config(Section):
    """Everything a user decides about a run."""

    subjects: list[Subject] | str = Field(
        default_factory=list,
        description=(
            "Who. `id` is text: quote it, or leading zeros are lost. `source` names\n"
            "an embedded scan, fetched and checked by SHA-256 (bold5000_csi1, _csi2,\n"
            "_csi3, ds000240_sub01); `path` is a file of yours, with an optional\n"
            "`sha256`.\n"
            "A table does as well: `subjects: subjects.tsv`, columns id and path."
        ),
    )
    bids: Bids | None = Field(
        None,
        description=(
            "Subjects of a BIDS folder, beside or instead of the rows above (also\n"
            "exclude, session, filter_file: docs/bids.md):\n"
            'bids: {dir: /data/ds000001, participants: ["01", "02"]}'
        ),
    )
    bad_scans: Literal["stop", "skip"] = Field(
        "stop",
        description=(
            "A damaged scan: stop before anything runs, or skip it, run the others\n"
            "and name it in results/status.tsv."
        ),
    )
    models: list[str] = Field(
        default=["fastsurfer_demo", "deepbrain"],
        min_length=1,
        description="Which networks; docs/models.md lists them.",
    )
    model_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description=(
            "Options of a model, e.g. {fastsurfer_demo: {accumulator: float32}}."
        ),
    )
    custom_models: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Models of your own, by name; docs/models.md shows an entry.",
    )
    instrument: Instrument = Field(
        "native",
        description=(
            "How arithmetic is perturbed: native (Roundoff's random rounding), verrou\n"
            "(the reference, a thousand times dearer) or ieee (not at all).\n"
            "The ieee control always runs beside the instrument."
        ),
    )
    samples: int = Field(
        10,
        ge=2,
        description=(
            "Perturbed inferences per subject and model. 10 support p >= 0.741 at\n"
            "95 % confidence, 59 support p >= 0.95. Raising it later adds the missing."
        ),
    )
    control_samples: int = Field(
        2,
        ge=2,
        description="Unperturbed repetitions; they must come out bit-identical.",
    )
    batch: int | None = Field(
        None,
        ge=1,
        le=1000,
        description=(
            "Samples one job computes, one after the other. Left out: 1, or 10 in\n"
            "studies of more than 5000 samples (docs/cluster.md)."
        ),
    )
    keep_samples: bool = Field(
        True,
        description=(
            "false: delete the images of a sample once its uncertainty is measured.\n"
            "Samples added later then compute all of them again (docs/cluster.md)."
        ),
    )
    seed: int = Field(
        2026,
        ge=0,
        description="Master seed: every sample's own seed derives from it.",
    )
    time_limit: float | None = Field(
        None,
        gt=0,
        description=(
            "Minutes after which a sample that has not ended is given up:\n"
            "time_limit: 120"
        ),
    )
    native: Native = Field(
        default_factory=Native,
        description=(
            "Random rounding (docs/random_rounding.md): mode (random, nearness,\n"
            "upward, ...) and summation order; strict refuses operators that would go\n"
            "unperturbed."
        ),
    )
    verrou: Verrou = Field(
        default_factory=Verrou,
        description=(
            "Verrou (docs/verrou.md): rounding mode, slices computed per direction\n"
            "(null: all), layers to perturb (patterns; none: all), what is left out\n"
            "besides (libm, numpy, rules), and where Valgrind is."
        ),
    )
    agreement: Agreement = Field(
        default_factory=Agreement,
        description=(
            "Target `agreement`: the same slices under native and verrou, bit for\n"
            "bit. Says how to get Verrou where it is missing."
        ),
    )
    runtime: Runtime = Field(
        "host",
        description=(
            "Where samples are computed: host, or in a container by docker, podman or\n"
            "apptainer (this one for all jobs, with --workflow-profile\n"
            "profiles/apptainer). docs/containers.md"
        ),
    )
    images: Images = Field(
        default_factory=Images,
        description=(
            "Images other than those `make images` builds: {roundoff: name or file,\n"
            "verrou: name or file}."
        ),
    )
    probability: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Significant bits by CNH hold with this probability, ...",
    )
    confidence: float = Field(
        0.95, gt=0, lt=1, description="... at this confidence level."
    )
    embeddings: Embeddings = Field(
        default_factory=Embeddings,
        description=(
            "Target `embeddings`: digits after every block of a FastSurfer model, on\n"
            "one slice (the one with most brain when `slice` is left out)."
        ),
    )
    datasets: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Image classification data sets you have already: name (mnist,\n"
            "fashion_mnist, cifar10, cifar100, svhn) to file or folder. The first\n"
            "three are fetched where this is silent."
        ),
    )
    nan_sweep: NanSweep = Field(
        default_factory=NanSweep,
        description=(
            "Target `nan_sweep`: what NaN operations skip, cost and save. Thresholds,\n"
            "tolerances and margins are the published or usual ones unless set here\n"
            "(docs/nan_sweep.md)."
        ),
    )
    time_trials: TimeTrials = Field(
        default_factory=TimeTrials,
        description=(
            "Target `time_trials`: the NaN convolution against PyTorch's own.\n"
            "size: quick, default (minutes) or full; clock: wall or cpu."
        ),
    )
    classifiers: Classifiers = Field(
        default_factory=Classifiers,
        description=(
            "Target `classifiers` (docs/classifiers.md): size demo (2000 MNIST\n"
            "images) or published (all 10000); epochs of the training; xception:\n"
            "{weights, images} where you have both."
        ),
    )
    poolers: Poolers = Field(
        default_factory=Poolers,
        description=(
            "Target `poolers` (docs/poolers.md): size demo (about 15 minutes on two\n"
            "cores) or published (days); datasets, poolers, seeds, epochs, images and\n"
            "samples override it."
        ),
    )
    relu_zero: ReluZero = Field(
        default_factory=ReluZero,
        description=(
            "Target `relu_zero` (docs/relu_zero.md): which derivative of ReLU at 0.\n"
            "size: demo (about 25 minutes on two cores) or published (days); device:\n"
            "of the training; mode: of the random rounding; chunk: draws per job.\n"
            "`draws` and `networks` (vgg11, vgg11_bn, resnet18, resnet18_bn; none in\n"
            "the demo) replace those of the size."
        ),
    )
    training: Training = Field(
        default_factory=Training,
        description=(
            "Targets `train_synthmorph`, `training_stability` and (`segmentation`)\n"
            "`segmentation_stability` (docs/training.md).\n"
            "size: tiny, demo, half (2 mm) or published (1 mm, 256 features);\n"
            "processes: of torchrun; memory: plain or checkpoint. Left out, the rest\n"
            "is the size's own. No label_maps: random shapes."
        ),
    )
    published_folder: str = Field(
        "../shared/reference/published",
        description=(
            "Folder of the published tables of arXiv 2308.01939, for the target\n"
            "`published`."
        ),
    )

    def as_yaml(self) -> str:
        """The configuration as it was checked, defaults filled in."""
        values = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    @field_validator("samples", "control_samples", mode="before")
    @classmethod
    def _spread_needs_two(cls, value: Any) -> Any:
        if isinstance(value, int) and value < 2:
            raise ValueError(
                f"{value} is too few: a spread needs at least 2 samples; 10 are usual"
            )
        return value
