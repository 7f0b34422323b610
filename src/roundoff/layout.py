"""Where each file of a run lies: BIDS names, one function per kind of file.

Arguments may be Snakemake wildcards in braces, so the same functions name files in
rules, scripts and tests.
"""

from collections.abc import Iterable

from roundoff.models.base import Grid, ModelSpec

RESULTS = "results"
CONTROL = "ieee"


def grid_label(grid: Grid) -> str:
    """BIDS `res` label of a grid, e.g. "2mm128" or "0p7mm320"."""
    size = f"{grid.voxel_size:g}".replace(".", "p")
    return f"{size}mm{max(grid.shape)}"


def sample_label(sample: int) -> str:
    """BIDS `run` index of a sample, zero-padded: 7 gives "007"."""
    return f"{sample:03d}"


def seg_label(model: str) -> str:
    """BIDS `seg` label of a model's segmentation."""
    return "".join(c for c in model if c.isalnum())


def conformed(subject: str, grid: Grid) -> str:
    """The conformed scan of a subject on a grid."""
    res = grid_label(grid)
    return (
        f"{RESULTS}/conformed/sub-{subject}/anat/"
        f"sub-{subject}_res-{res}_desc-conformed_T1w.nii.gz"
    )


def sample_files(
    spec: ModelSpec, subject: str, instrument: str, sample: str
) -> dict[str, str]:
    """Outputs of one sample by role: "labels" and "map_<name>"."""
    stem = f"{_anat(spec.name, subject)}_rec-{instrument}_run-{sample}"
    files = {f"map_{m.name}": f"{stem}_stat-{m.name}_statmap.nii.gz" for m in spec.maps}
    if spec.labels:
        files["labels"] = f"{stem}_seg-{seg_label(spec.name)}_dseg.nii.gz"
    return files


def sample_sidecars(
    spec: ModelSpec, subject: str, instrument: str, sample: str
) -> dict[str, str]:
    """JSON sidecars of one sample's outputs, by role: "json_<role of the image>"."""
    images = sample_files(spec, subject, instrument, sample)
    return {f"json_{r}": f.removesuffix(".nii.gz") + ".json" for r, f in images.items()}


def uncertainty_files(spec: ModelSpec, subject: str, instrument: str) -> dict[str, str]:
    """Outputs of the aggregation over samples, by role."""
    stem = f"{_anat(spec.name, subject)}_rec-{instrument}"
    table = f"{RESULTS}/tables/{spec.name}/sub-{subject}_rec-{instrument}"
    files = {"bits_table": f"{table}_bits.tsv", "summary": f"{table}_summary.json"}
    for m in spec.maps:
        files[f"bits_{m.name}"] = f"{stem}_stat-{m.name}sigbits_statmap.nii.gz"
        files[f"cnh_{m.name}"] = f"{stem}_stat-{m.name}sigbitscnh_statmap.nii.gz"
        files[f"mean_{m.name}"] = f"{stem}_stat-{m.name}mean_statmap.nii.gz"
        files[f"std_{m.name}"] = f"{stem}_stat-{m.name}std_statmap.nii.gz"
        files[f"state_{m.name}"] = f"{stem}_stat-{m.name}state_statmap.nii.gz"
        files[f"histogram_{m.name}"] = f"{table}_{m.name}_histogram.tsv"
    if spec.labels:
        seg = seg_label(spec.name)
        files["entropy"] = f"{stem}_stat-entropy_statmap.nii.gz"
        files["majority"] = f"{stem}_seg-{seg}_desc-majority_dseg.nii.gz"
        files["regions_table"] = f"{table}_regions.tsv"
        files["volumes_table"] = f"{table}_volumes.tsv"
    return files


def control_file(model: str, subject: str) -> str:
    """The record that the control samples of a subject are bit-identical."""
    return f"{RESULTS}/control/{model}/sub-{subject}_control.json"


def canary_file(instrument: str) -> str:
    """The record that an instrument acts as it should."""
    return f"{RESULTS}/canary/{instrument}.json"


def figure_files(spec: ModelSpec, subject: str, instrument: str) -> dict[str, str]:
    """Figures of one subject and model, by role."""
    stem = f"{RESULTS}/figures/{spec.name}/sub-{subject}_rec-{instrument}"
    files = {f"bits_{m.name}": f"{stem}_{m.name}_bits.png" for m in spec.maps}
    files |= {f"hist_{m.name}": f"{stem}_{m.name}_distribution.png" for m in spec.maps}
    if spec.labels:
        for kind in ("labels", "entropy", "dice", "volumes"):
            files[kind] = f"{stem}_{kind}.png"
    return files


def dataset_files(model: str) -> list[str]:
    """What makes a folder a BIDS derivative."""
    return [
        f"{RESULTS}/{model}/dataset_description.json",
        f"{RESULTS}/{model}/.bidsignore",
    ]


def in_order(subjects: Iterable[str], specs: Iterable[ModelSpec]):
    """(subject, spec) pairs in the order of the configuration."""
    specs = list(specs)
    return [(subject, spec) for subject in subjects for spec in specs]


def _anat(model: str, subject: str) -> str:
    return f"{RESULTS}/{model}/sub-{subject}/anat/sub-{subject}"
