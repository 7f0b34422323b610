"""What the fault drill needs: studies to break, and the table of what happened."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults_support import short_study
from workflow_study import Study

TABLE = Path(__file__).resolve().parents[2] / "docs/faults.md"
ROWS = pytest.StashKey()
HEAD = """\
# What happens when something breaks?

Every fault below is provoked by a test in `tests/faults/`; this page is written by
`make faults` from what the tests measured. *Seen* is the line a user gets, verbatim but
for paths. *Results* says how it ended: in every row the same command, run again after
the cause is mended, gives the results of an undisturbed run, bit for bit (SHA-256 of
every file), or the damaged file is named and refused.

| fault | seen | results |
|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: str
    seen: str
    results: str


def pytest_addoption(parser):
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md")


def pytest_configure(config):
    config.stash[ROWS] = []


def pytest_sessionfinish(session, exitstatus):
    """The table, if it was asked for and every fault was survived."""
    rows = session.config.stash.get(ROWS, [])
    if not session.config.getoption("--write-faults", default=False) or exitstatus:
        return
    lines = [f"| {r.fault} | {r.seen} | {r.results} |" for r in rows]
    TABLE.write_text(HEAD + "\n".join(lines) + "\n")


def pytest_terminal_summary(terminalreporter, config):
    for row in config.stash.get(ROWS, []):
        terminalreporter.write_line(f"{row.fault:44} {row.results}")


@pytest.fixture
def drill(request, tmp_path):
    """Remember what a fault looked like and how it ended."""

    def remember(fault: str, seen: str, results: str) -> None:
        for place in (tmp_path.as_posix(), Path.cwd().as_posix()):
            seen = seen.replace(place, "…")
        seen = re.sub(r"/tmp/\S*?/(?=my scans|results|config)", "…/", seen)
        seen = " ".join(seen.split()).replace("|", "\\|")
        request.config.stash[ROWS].append(Row(fault, f"`{seen}`", results))

    return remember


@pytest.fixture
def copied(finished, tmp_path) -> Study:
    """A copy of the study that ran undisturbed, to be broken."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder)
    return Study.at(folder, finished.config)


@pytest.fixture(scope="session")
def short_finished(tmp_path_factory) -> Study:
    """A shorter study (one subject, two samples) that ran undisturbed."""
    study = short_study(tmp_path_factory.mktemp("short"))
    study.run()
    return study


@pytest.fixture
def short(tmp_path) -> Study:
    """The shorter study, not run."""
    return short_study(tmp_path)


@pytest.fixture
def copied_short(short_finished, tmp_path) -> Study:
    """A copy of the shorter study that ran undisturbed, to be broken."""
    folder = tmp_path / "study"
    shutil.copytree(short_finished.folder, folder)
    return Study.at(folder, short_finished.config)
