"""What the fault drill needs: studies to break, and the table of what happened."""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from faults_support import short_study
from roundoff.atomic import write_json, write_text
from workflow_study import Study

TABLE = Path(__file__).resolve().parents[2] / "docs/faults.md"
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


def row_file(config, nodeid: str) -> Path:
    """Where pytest's cache keeps a test's row, so that `--lf` completes a table."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", nodeid.split("/")[-1])
    return config.cache.mkdir("faults") / f"{name}.json"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        row_file(item.config, item.nodeid).unlink(missing_ok=True)


def stored(config) -> list[Row]:
    """The rows of the tests that passed when they last ran, in the tests' order."""
    here = Path(__file__).parent
    source = "".join(p.read_text() for p in sorted(here.glob("test_*.py")))
    rows = []
    for path in config.cache.mkdir("faults").glob("*.json"):
        entry = json.loads(path.read_text())
        place = source.find(f"def {entry.pop('test')}(")
        if place >= 0:  # else the test is gone
            rows.append((place, path.name, Row(**entry)))
    return [row for _, _, row in sorted(rows, key=lambda r: r[:2])]


def pytest_sessionfinish(session, exitstatus):
    """The page, if it was asked for and every fault was survived."""
    config = session.config
    if config.getoption("--write-faults", default=False) and not exitstatus:
        rows = [(r.fault, as_code(r.seen), r.results) for r in stored(config)]
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        write_text(TABLE, HEAD + lines)


def as_code(text: str) -> str:
    """Verbatim in Markdown, also where there are backticks in it."""
    if not text:
        return "(nothing)"
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def pytest_terminal_summary(terminalreporter, config):
    for report in terminalreporter.stats.get("passed", []):
        path = row_file(config, report.nodeid)
        if report.when == "call" and "faults/" in report.nodeid and path.is_file():
            row = json.loads(path.read_text())
            terminalreporter.write_line(f"{row['fault']:52} {row['results']}")


@pytest.fixture
def drill(request, tmp_path):
    """Remember what a fault looked like and how it ended."""

    def remember(fault: str, seen: str, results: str) -> None:
        for place in (tmp_path.as_posix(), Path.cwd().as_posix()):
            seen = seen.replace(place, "…")
        seen = re.sub(r"/tmp/\S*?/(?=my scans|results|config)", "…/", seen)
        seen = " ".join(seen.split()).replace("|", "\\|")
        row = Row(fault, seen, results)
        test = request.node.originalname
        path = row_file(request.config, request.node.nodeid)
        write_json(path, {"test": test, **asdict(row)})

    return remember


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
