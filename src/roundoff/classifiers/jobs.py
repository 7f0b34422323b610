"""The jobs of the target `classifiers`: which tables, from which settings."""

from roundoff.config.classifiers import Classifiers

FOLDER = "results/classifiers"
EPSILONS = ("eps1e-7", "eps1e-5", "eps1e-3", "eps1e-2", "dtype")
# Ties as published and constant windows, each filled by the mean and by zero.
COMPARED = ("eps1e-7", "constant", "eps1e-7-zero", "constant-zero")
# (precision, rule) pairs: tolerances in float32; four rules in the half types.
MNIST_JOBS = [
    *[("float32", rule) for rule in (*EPSILONS, *COMPARED[1:])],
    *[(p, rule) for p in ("bfloat16", "float16") for rule in COMPARED],
]


def tables(settings: Classifiers) -> list[str]:
    """Tables of scores to compute; Xception's where the user named its files."""
    found = [f"{FOLDER}/mnist/{p}_{rule}.tsv" for p, rule in MNIST_JOBS]
    if settings.xception is not None:
        found += [f"{FOLDER}/xception/float32_{rule}.tsv" for rule in EPSILONS[:4]]
    return found


def outputs() -> list[str]:
    """Tables, figures and the summary of the target."""
    names = ("thresholds", "tolerances", "precision", "layers")
    return [
        f"{FOLDER}/scores.tsv",
        f"{FOLDER}/skipped.tsv",
        *(f"{FOLDER}/{name}.png" for name in names),
        f"{FOLDER}/summary.md",
    ]
