"""The methods paragraph of a paper, written from what was really run."""

from collections.abc import Mapping
from typing import Any

from roundoff import __version__
from roundoff.report.study import Study

MODES = {
    "random": "up or down with probability 1/2",
    "nearness": "up or down with a probability given by the distance (unbiased)",
}


def methods_paragraph(study: Study) -> str:
    """Sentences on instrument, samples, seeds, software and estimators."""
    spec, subject = next(iter(study))
    summary = study.summary(spec, subject)
    instrument, n = summary["Instrument"], summary["Samples"]
    versions = summary["Versions"]
    networks = "; ".join(f"{m.title} ({m.weights_kind})" for m in study.models)
    if instrument["name"] == "ieee":
        how = "without any perturbation (IEEE arithmetic)"
    elif instrument["name"] == "verrou":
        how = _verrou(instrument)
    else:
        rule = MODES.get(instrument["mode"], instrument["mode"])
        how = (
            "while the result of every inexact elementary floating-point operation "
            f"(addition, product, fused multiply-add, division, root) was rounded "
            f"{rule}, with Roundoff's native instrument, summation order "
            f"“{instrument['order']}”"
        )
    people = len(study.subjects)
    return (
        f"The T1-weighted scans of {people} {'subject' if people == 1 else 'subjects'} "
        f"were conformed and passed {n} times each through {networks}, {how}. Every "
        f"sample had its own seed, derived from the subject, the model and the sample "
        f"number, and ran on one thread. Repetitions without perturbation were "
        f"required to be bit-identical. Significant bits per voxel were "
        f"estimated with the non-parametric (General) and the centred-normality (CNH) "
        f"estimators of significantdigits 0.6.0, relative to the mean of the samples; "
        f"{summary['Confidence']}. Agreement of label maps is the minimum Dice "
        f"coefficient over all {n * (n - 1) // 2} pairs of samples; entropy uses the "
        f"natural logarithm. Software: Roundoff {__version__}, PyTorch "
        f"{versions['torch']}, Numba {versions['numba']}, Python {versions['python']}."
    )


def _verrou(instrument: Mapping[str, Any]) -> str:
    rule = MODES.get(instrument["mode"], instrument["mode"])
    versions = f"Verrou {instrument.get('verrou', '')} ".replace("  ", " ")
    versions += (
        f"on Valgrind {instrument['valgrind']}" if "valgrind" in instrument else ""
    )
    layers = instrument.get("layers")
    where = f", in the modules {', '.join(layers)} only" if layers else ""
    libm = (
        "replaced by Verrou's interposition library"
        if instrument.get("libm") == "instrumented"
        else "left unperturbed"
    )
    return (
        "while every inexact elementary floating-point operation of the network was "
        f"rounded {rule} by {versions.strip()}{where}, switched on after start-up and "
        f"reading, with the mathematical library {libm}, on AVX2 kernels"
    )
