"""Where the files of the sweep lie; subjects and scans may be wildcards in braces."""

from roundoff import layout

FOLDER = f"{layout.RESULTS}/nan_sweep"
MODES = ("aggressive", "conservative")
MEASURES = ("slices", "layers", "regions")


def brain_mask(subject: str) -> str:
    """The mask of the brain of a subject, on the brain model's grid."""
    return f"{FOLDER}/brain/sub-{subject}_desc-brain_mask.nii.gz"


def skip_files(model: str, subject: str, scan: str, mode: str) -> dict[str, str]:
    """Tables and maps of one mode on one scan."""
    stem = f"{FOLDER}/{model}/sub-{subject}_scan-{scan}_mode-{mode}"
    files = {name: f"{stem}_{name}.tsv" for name in MEASURES}
    return files | {"maps": f"{stem}_maps.npz"}


def bits_files(model: str, subject: str, mode: str) -> dict[str, str]:
    """Tables of significant bits of one mode."""
    stem = f"{FOLDER}/{model}/sub-{subject}_mode-{mode}"
    return {"output": f"{stem}_bits.tsv", "blocks": f"{stem}_blockbits.tsv"}


def time_file(model: str, subject: str) -> str:
    """Table of times of one subject."""
    return f"{FOLDER}/{model}/sub-{subject}_time.tsv"


def all_files(models: list[str], subjects: list[str], scans: list[str]) -> list[str]:
    """Everything the figures and the summary are made of."""
    files = []
    for model in models:
        for subject in subjects:
            files.append(time_file(model, subject))
            for mode in MODES:
                files += bits_files(model, subject, mode).values()
                for scan in scans:
                    files += skip_files(model, subject, scan, mode).values()
    return files


def figures(models: list[str], subjects: list[str], scans: list[str]) -> list[str]:
    """The figures."""
    names = ["time"]
    for model in models:
        kinds = ("skip_blocks", "skip_slices", "quality", "bits", "block_bits")
        names += [f"{kind}_{model}" for kind in kinds]
        names += [f"maps_{model}_sub-{subject}" for subject in subjects]
    return [f"{FOLDER}/{name}.png" for name in names]


def summary() -> str:
    """The page that lays our numbers beside the published ones."""
    return f"{FOLDER}/summary.md"


def tables() -> list[str]:
    """The tables over subjects."""
    names = ("subjects", "statistics", "blocks", "time")
    return [f"{FOLDER}/{name}.tsv" for name in names]
