"""What the rules share: the checked configuration and a few paths."""

import dataclasses
import json
import os
import re
import shlex
import sys
from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

from roundoff import layout
from roundoff.batches import Batch, batch_size, batches
from roundoff.cluster import start_on_slurm
from roundoff.config import load_config, require_weights, resolve_subjects
from roundoff.data.sources import get_source, load_sources, source_of_file
from roundoff.errors import RoundoffError
from roundoff.instruments.reduction import reduce_slices
from roundoff.instruments.roles import PLAIN, controls, roles, verrou_settings
from roundoff.images.check import check_volumes
from roundoff.lock import single_run
from roundoff.models.registry import get_model
from roundoff.runtimes.asking import asked_runtime, files_of_user

SCRIPTS = Path(workflow.basedir).resolve()
SCRIPTS = (SCRIPTS if (SCRIPTS / "scripts").is_dir() else SCRIPTS.parent) / "scripts"
# Looking at the status needs neither sound scans nor the lock of the run.
ASKS_STATUS = "status" in sys.argv

try:
    CONFIG = load_config(config)
    SUBJECTS = resolve_subjects(CONFIG)
    MODELS = {
        name: get_model(name, CONFIG.custom_models).with_options(
            CONFIG.model_options.get(name, {})
        )
        for name in CONFIG.models
    }
    RUNTIME = asked_runtime(
        CONFIG,
        [str(m) for m in workflow.deployment_settings.deployment_method],
        SCRIPTS.parent,
    )
    if not ASKS_STATUS:
        require_weights(CONFIG)
        RUNTIME.check()
        os.environ.update(RUNTIME.environment(files_of_user(CONFIG, SUBJECTS, MODELS)))
    if CONFIG.instrument == "verrou":
        MODELS = {
            name: reduce_slices(
                spec, CONFIG.verrou.slices, CONFIG.model_options.get(name)
            )
            for name, spec in MODELS.items()
        }
    # Bad scans are refused here, in the first seconds and not after hours.
    # Once per run: jobs on a cluster read this file too.
    if CONFIG.bad_scans == "stop" and not ASKS_STATUS and workflow.is_main_process:
        check_volumes(
            {
                f"subjects[{s.id}].path": Path(s.path)
                for s in SUBJECTS.values()
                if s.path
            },
            cache=Path(".snakemake/roundoff-checked.json"),
        )
except RoundoffError as error:
    raise WorkflowError(str(error)) from None

ROLES = roles(CONFIG)
# In the environment and not in the parameters, so that moving the checkout or its
# Python reruns nothing.
# In a container: its own Python and scripts, whatever of the host is visible there.
shell.prefix(
    "set -euo pipefail; "
    "if [ -f /opt/roundoff/image.json ]; then "
    "export SCRIPTS=/opt/roundoff/scripts PATH=/opt/roundoff/venv/bin:$PATH; "
    "[ -w /opt/roundoff/numba ] || "
    "export NUMBA_CACHE_DIR=/tmp/roundoff-kernels-$(id -u); else "
    f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH "
    f"SCRIPTS={shlex.quote(str(SCRIPTS))}; fi; "
    # Another limit makes no other samples.
    f"export ROUNDOFF_TIME_LIMIT={CONFIG.time_limit or ''}; "
)

INSTRUMENTS = {label: role.samples for label, role in ROLES.items()}
# A job per sample, or rules for batches of samples where a study is large.
BATCH = batch_size(
    CONFIG.batch, sum(INSTRUMENTS.values()) * len(SUBJECTS) * len(MODELS)
)
BATCHES = [Batch("{instrument}", ("{sample}",))]
if BATCH > 1:
    BATCHES = batches(INSTRUMENTS, BATCH)
MEASURED = CONFIG.instrument
GRIDS = {layout.grid_label(m.grid): m.grid for m in MODELS.values()}
ARCHIVES = {s.archive: s.name for s in load_sources().values() if s.archive}
FILES = [s.file for s in load_sources().values() if s.kind != "release"]


wildcard_constraints:
    subject="[A-Za-z0-9]+",
    instrument="[a-z]+",
    sample=r"\d+",
    res="[A-Za-z0-9]+",


onstart:
    try:
        if not ASKS_STATUS:
            single_run(Path(".snakemake/roundoff.lock"))
            for job in start_on_slurm(remote=workflow.non_local_exec):
                print(
                    f"Cancelled Slurm job {job} of an earlier run.", file=sys.stderr
                )
    except RoundoffError as error:
        raise WorkflowError(str(error)) from None


def settings(label: str) -> str:
    """Settings of the instrument of a role as JSON."""
    if label in ROLES:
        return json.dumps(ROLES[label].settings)
    if label == "verrou":
        return json.dumps(verrou_settings(CONFIG))
    section = getattr(CONFIG, label, None)
    return json.dumps(section.model_dump() if section else {})


def instrument_of(label: str) -> str:
    """The instrument that makes the samples of a role."""
    return ROLES[label].instrument if label in ROLES else label


def runs(instrument: str) -> list[str]:
    """Labels of the samples of an instrument."""
    return [layout.sample_label(i + 1) for i in range(INSTRUMENTS[instrument])]


def growing(amount: int):
    """A resource that is `amount` at first and more with every attempt."""

    def resource(wildcards, attempt):
        return amount * attempt

    return resource


def label_of(wildcards, batch) -> str:
    """The role of a batch; a rule for single samples leaves it to the wildcard."""
    return batch.label if batch.label in ROLES else wildcards.instrument


def batch_minutes(wildcards, attempt, batch) -> int:
    """Time limit of a batch; a day per sample under Valgrind, which is far slower."""
    verrou = CONFIG.instrument == "verrou"
    return (1440 if verrou else 240) * len(batch.samples) * attempt


def batch_instrument(wildcards, batch) -> str:
    """The instrument of a batch."""
    return instrument_of(label_of(wildcards, batch))


def batch_settings(wildcards, batch) -> str:
    """Settings of the instrument of a batch as JSON."""
    return settings(label_of(wildcards, batch))


def batch_files(spec, batch) -> list[str]:
    """Outputs of a batch: images and sidecars of its samples.

    Planning takes its time by the file, so of several samples only the sidecars that
    other rules read are stated.
    """
    kinds = [layout.sample_files, layout.sample_sidecars]
    if len(batch.samples) > 1 and batch.label not in controls(CONFIG):
        kinds = [layout.sample_files]
    files = [
        file
        for sample in batch.samples
        for kind in kinds
        for file in kind(spec, "{subject}", batch.label, sample).values()
    ]
    if CONFIG.keep_samples:
        return files
    return [temp(f) if f.endswith(".nii.gz") else f for f in files]


def enough(files: dict) -> dict:
    """Files of one job as inputs; in a large study one, which stands for all."""
    return files if BATCH == 1 else dict(list(files.items())[:1])


def batch_record(kind: str, model: str, batch) -> str:
    """Log or benchmark of a batch, without its ending."""
    span = batch.span if len(batch.samples) > 1 else f"{batch.label}_{batch.samples[0]}"
    return f"results/{kind}/infer/{model}/sub-{{subject}}_{span}"


def batch_words(batch) -> str:
    """Role and samples of a batch, for people."""
    if batch.label in ROLES:
        return f"{batch.label} samples {batch.samples[0]} to {batch.samples[-1]}"
    return "{wildcards.instrument} sample {wildcards.sample}"


def batch_options(wildcards, output, model, batch) -> str:
    """Arguments of a batch that do not change its samples."""
    subject, label = wildcards.subject, label_of(wildcards, batch)
    samples = batch.samples if batch.label in ROLES else [wildcards.sample]
    stem = f"infer/{model}/sub-{subject}_{label}"
    return (
        f"--samples {' '.join(samples)} --aside results/unfinished/{stem}"
        f" --log results/logs/{stem}_{{sample}}.log"
        f" --benchmark results/benchmarks/{stem}_{{sample}}.tsv"
    )


def source_path(name: str) -> str:
    """Where the file of a data source is fetched to."""
    return f"resources/sources/{get_source(name).file}"


def weight_paths(model: str) -> dict[str, str]:
    """Role to local file of a model's weights: a data source or the user's path."""
    known = load_sources()
    weights = get_model(model, CONFIG.custom_models).weights
    return {r: source_path(n) if n in known else n for r, n in weights.items()}


def assign(files: dict) -> list[str]:
    """Role=path arguments of a script."""
    return [f"{role}={path}" for role, path in files.items()]


def archive_source(wildcards) -> str:
    """A source whose package archive has this file name."""
    return ARCHIVES[wildcards.archive]


def source_archive(wildcards) -> list[str]:
    """The package archive a source file comes in, if it does."""
    archive = source_of_file(wildcards.file).archive
    return [f"resources/packages/{archive}"] if archive else []


def source_name(wildcards) -> str:
    """The source whose local file has this name."""
    return source_of_file(wildcards.file).name


def source_sha256(wildcards) -> str:
    """The checksum the table states for a file."""
    return source_of_file(wildcards.file).sha256


def scan_of(wildcards) -> str:
    """The scan of a subject: the user's file or a fetched one."""
    subject = SUBJECTS[wildcards.subject]
    return subject.path or source_path(subject.source)


def checksum_option(wildcards) -> str:
    """--sha256 for a subject whose checksum is stated."""
    sha256 = SUBJECTS[wildcards.subject].sha256
    return f"--sha256 {sha256}" if sha256 else ""


def grid_json(wildcards) -> str:
    """The grid with this label, as JSON."""
    return json.dumps(dataclasses.asdict(GRIDS[wildcards.res]))


def sample_outputs(wildcards, spec, batch) -> list[str]:
    """--output arguments of a sample, {sample} left open."""
    label = label_of(wildcards, batch)
    files = layout.sample_files(spec, wildcards.subject, label, "{sample}")
    return [f"--output={a}" for a in assign(files)]


def sample_evidence(wildcards, model, batch) -> str:
    """Where what Valgrind said of a sample is kept, {sample} left open."""
    label = label_of(wildcards, batch)
    return f"results/verrou/{model}/sub-{wildcards.subject}_{label}_{{sample}}"


def first_sidecar(spec, subject: str, label: str, run: str) -> str:
    """The sidecar of one output of a sample; they all hold the same."""
    return next(iter(layout.sample_sidecars(spec, subject, label, run).values()))


def control_sidecars(wildcards, spec) -> list[str]:
    """One sidecar of each sample that must equal the control."""
    return [
        first_sidecar(spec, wildcards.subject, label, run)
        for label in controls(CONFIG)
        for run in runs(label)
    ]


def plain_outputs(wildcards, spec, label: str) -> list[str]:
    """Outputs of the first sample of a role, where a plain control runs too."""
    if PLAIN not in ROLES:
        return []
    return list(layout.sample_files(spec, wildcards.subject, label, "001").values())


def samples_of(wildcards, spec) -> list[str]:
    """All outputs of all samples of the instrument that is measured."""
    return [
        file
        for run in runs(MEASURED)
        for file in layout.sample_files(spec, wildcards.subject, MEASURED, run).values()
    ]


def sample_patterns(wildcards, spec) -> list[str]:
    """--sample arguments: the files of the measured samples, {sample} left open."""
    files = layout.sample_files(spec, wildcards.subject, MEASURED, "{sample}")
    return [f"--sample={a}" for a in assign(files)]


def uncertainty_outputs(wildcards, spec) -> list[str]:
    """--output arguments of the aggregation of one subject and model."""
    files = layout.uncertainty_files(spec, wildcards.subject, MEASURED)
    return [f"--output {a}" for a in assign(files)]


def dataset_title(wildcards) -> str:
    """Title of a results folder as a data set."""
    if wildcards.dataset == "conformed":
        return "Scans conformed for inference"
    spec = MODELS[wildcards.dataset]
    return f"{spec.title} ({spec.weights_kind}) under {MEASURED}"


def figure_inputs(wildcards, spec) -> list[str]:
    """--input arguments of the figures of one subject and model."""
    files = layout.uncertainty_files(spec, wildcards.subject, MEASURED)
    return [f"--input {a}" for a in assign(files)]


def figure_outputs(wildcards, spec) -> list[str]:
    """--output arguments of the figures of one subject and model."""
    files = layout.figure_files(spec, wildcards.subject, MEASURED)
    return [f"--output {a}" for a in assign(files)]


def pairs_of(role: str) -> list[str]:
    """One kind of aggregated file of every subject and model that has it."""
    pairs = layout.in_order(SUBJECTS, MODELS.values())
    files = [layout.uncertainty_files(m, s, MEASURED).get(role) for s, m in pairs]
    return [file for file in files if file]


def all_uncertainty() -> list[str]:
    """The maps and tables of every subject and model."""
    pairs = layout.in_order(SUBJECTS, MODELS.values())
    files = [enough(layout.uncertainty_files(m, s, MEASURED)) for s, m in pairs]
    return [file for some in files for file in some.values()]


def all_figures() -> list[str]:
    """The figures of every subject and model."""
    pairs = layout.in_order(SUBJECTS, MODELS.values())
    files = [enough(layout.figure_files(m, s, MEASURED)) for s, m in pairs]
    return [file for some in files for file in some.values()]


def study_arguments(wildcards) -> str:
    """Arguments that name the study."""
    custom = shlex.quote(json.dumps(CONFIG.custom_models))
    return (
        f"--models {' '.join(MODELS)} --subjects {' '.join(SUBJECTS)}"
        f" --instrument {MEASURED} --custom-models {custom}"
    )


def conformed_sidecar(subject: str) -> str:
    """One sidecar of a subject's conformed scan."""
    image = layout.conformed(subject, next(iter(GRIDS.values())))
    return image.removesuffix(".nii.gz") + ".json"


def conformed_sidecars() -> list[str]:
    """One sidecar of each subject's conformed scan."""
    return [conformed_sidecar(subject) for subject in SUBJECTS]


def status_arguments() -> str:
    """Arguments that name the study and its samples."""
    return (
        f"{study_arguments(None)} --instruments {shlex.quote(json.dumps(INSTRUMENTS))}"
    )


def write_status():
    """Leave the status of a run of the study that has ended."""
    targets = set(workflow.dag_settings.targets)
    named = {"default", "all", "report", f"{layout.RESULTS}/report.html"}
    if not targets or targets & named:
        shell(
            # On the host: Snakemake gives its handlers no container.
            'ROUNDOFF_RUNTIME=host python "$SCRIPTS"/status.py {study} --ended --quiet',
            study=status_arguments(),
        )


def published_tables(wildcards) -> list[str]:
    """The published tables; where they come from, if one is missing."""
    # Here, because it imports pandas and scipy, which no other target needs to plan.
    from roundoff.uncertainty.published import FILES, missing_table

    tables = [Path(CONFIG.published_folder) / name for name in FILES.values()]
    for table in tables:
        if not table.is_file():
            raise WorkflowError(missing_table(table))
    return [str(table) for table in tables]


def embeddings_spec():
    """The model of the target `embeddings`, with the user's options."""
    name = CONFIG.embeddings.model
    options = CONFIG.model_options.get(name, {})
    return get_model(name, CONFIG.custom_models).with_options(options)


def embeddings_slice() -> str:
    """--slice, if one is asked for."""
    number = CONFIG.embeddings.slice
    return "" if number is None else f"--slice {number}"
