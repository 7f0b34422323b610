"""Where the tables and figures of the time trials lie."""

from roundoff import layout

FOLDER = f"{layout.RESULTS}/time_trials"
JOBS = ("shares", "sizes", "channels", "volumes", "network", "history")
FIGURES = ("shares", "layers", "rows", "network", "history")


def table_file(job: str) -> str:
    """Where the rows of a job lie."""
    return f"{FOLDER}/{job}.tsv"


def figures() -> list[str]:
    """The figures."""
    return [f"{FOLDER}/{name}.png" for name in FIGURES]


def summary() -> str:
    """The page of tables, with the rows that lose."""
    return f"{FOLDER}/summary.md"
