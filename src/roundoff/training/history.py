"""What a training measured, step by step: CSV file and progress."""

import csv
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from roundoff.atomic import write_text

Row = dict[str, float]


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write rows (step, loss, ...) as CSV, atomically."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: v if isinstance(v, int) else f"{v:.6g}" for k, v in row.items()}
        for row in rows
    )
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """Rows of `write_history`; steps are whole numbers."""
    with open(path, newline="", encoding="utf-8") as stream:
        return [
            {k: int(v) if k == "step" else float(v) for k, v in row.items()}
            for row in csv.DictReader(stream)
        ]


def window_mean(rows: Sequence[Row]) -> Row:
    """Means of all columns over some steps; the step is the last one."""
    names = [name for name in rows[0] if name != "step"]
    means = {n: sum(row[n] for row in rows) / len(rows) for n in names}
    return {"step": rows[-1]["step"], **means}


def progress_bar(
    steps: int, first: int = 0, every: float = 10.0
) -> Callable[[Row], None]:
    """A callback that shows step, loss, other measures and the time left on stderr.

    A bar on a terminal; elsewhere (logs) a line, at most one in `every` seconds.
    """
    start = last = time.monotonic()
    bar = _terminal_bar(steps, first) if sys.stderr.isatty() else None

    def report(row: Row) -> None:
        nonlocal last
        now, step = time.monotonic(), int(row["step"])
        words = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step")
        if bar:
            bar(step, words)
        elif now - last >= every or step == steps:
            last = now
            left = (now - start) * (steps - step) / max(step - first, 1)
            line = f"step {step} of {steps}: {words}  {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    return report


def _terminal_bar(steps: int, first: int) -> Callable[[int, str], None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    shown = Progress(*columns, console=Console(stderr=True))
    task = shown.add_task("", total=steps, completed=first)
    shown.start()

    def update(step: int, words: str) -> None:
        shown.update(task, completed=step, description=words)
        if step == steps:
            shown.stop()

    return update
