"""Where the tables and figures of the time trials lie."""

from roundoff import layout

FOLDER = f"{layout.RESULTS}/time_trials"
JOBS = ("shares", "sizes", "channels", "volumes", "network", "history")
FIGURES = ("shares", "layers", "rows", "network", "history")


def table_file(job: str) -> str:
    """Where the rows of a job lie."""
    return f"{FOLDER}/{job}.tsv"


def outputs() -> list[str]:
    """Figures and summary."""
    return [*(f"{FOLDER}/{name}.png" for name in FIGURES), f"{FOLDER}/summary.md"]
