"""What the tests of faults share: names of results, and the lines a user sees."""

import pytest

from workflow_study import Study

CONFORMED = "results/conformed/sub-{0}/anat/sub-{0}_res-6mm32_desc-conformed_T1w.nii.gz"


def sample(subject: str, instrument: str, run: str) -> str:
    """The map of a sample of the tiny network."""
    folder = f"results/tiny/sub-{subject}/anat"
    return (
        f"{folder}/sub-{subject}_rec-{instrument}_run-{run}_stat-logit_statmap.nii.gz"
    )


SUMMARY = "results/tables/tiny/sub-{}_rec-native_summary.json"


def forget(study, *runs, subject="01"):
    """Delete samples and what was computed from them, so that a run has work to do."""
    for run in runs:
        (study.folder / sample(subject, "native", run)).unlink()
    (study.folder / SUMMARY.format(subject)).unlink(missing_ok=True)


def line_with(text: str, words: str) -> str:
    """The line of an output that holds these words; the test fails without one."""
    for line in text.splitlines():
        if words in line:
            return line.strip()
    return pytest.fail(f"no line says {words!r}:\n{text[-4000:]}")


def refused_at_once(study, words: str) -> str:
    """Run; nothing may be computed. Returns the line that says why."""
    done = study.run(check=False)
    assert done.returncode != 0
    assert not (study.folder / "results").exists()
    return line_with(done.stdout, words)


def short_study(folder) -> Study:
    """One subject, two samples: what most faults need."""
    study = Study(folder, subjects=("01",))
    study.write(samples=2)
    return study
