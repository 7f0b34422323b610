"""The status table for people: on the terminal, and as a page."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from roundoff import __version__
from roundoff.atomic import write_text
from roundoff.report.rendering import render

HEADINGS = {
    "subject": "subject",
    "model": "model",
    "instrument": "instrument",
    "asked": "samples asked",
    "done": "done",
    "failed": "failed",
    "running": "running",
    "waiting": "waiting",
    "aggregated": "aggregated",
    "last": "last change",
    "seconds": "s / sample",
    "peak_memory_mb": "peak MB",
    "why": "why",
}
REPORTS = {
    "report.html": "Report",
    "report_partial.html": "Report of what is complete",
}


def summary(table: pd.DataFrame) -> str:
    """One sentence about a status table."""
    asked, done = int(table["asked"].sum()), int(table["done"].sum())
    parts = [f"{done} of {asked} samples are done"]
    for state in ("running", "failed", "waiting"):
        if number := int(table[state].sum()):
            parts.append(f"{number} {state}")
    broken = sorted(set(table.loc[table["why"] != "", "subject"]))
    text = ", ".join(parts) + "."
    if broken:
        names = ", ".join(broken[:10]) + (", ..." if len(broken) > 10 else "")
        text += f" Trouble with {len(broken)} subject(s): {names}."
    return text


def print_table(table: pd.DataFrame, console: Console | None = None) -> None:
    """Print every row, those in trouble in red, and the summary below."""
    console = console or Console()
    # Piped into a file there is no width to keep to: nothing shall be cut off.
    if not console.is_terminal:
        console = Console(file=console.file, width=200)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, heading in HEADINGS.items():
        number = name in table and pd.api.types.is_numeric_dtype(table[name])
        shown.add_column(heading, justify="right" if number else "left")
    for row in table[list(HEADINGS)].to_dict("records"):
        style = "red" if row["why"] else None
        shown.add_row(*(_cell(v) for v in row.values()), style=style)
    console.print(shown)
    console.print(summary(table))


def write_page(path: Path, table: pd.DataFrame) -> None:
    """Write the table as a page that opens offline."""
    # Reasons are long: a line of their own below the numbers.
    shown = {n: h for n, h in HEADINGS.items() if n != "why"}
    numbers = {n for n in shown if pd.api.types.is_numeric_dtype(table[n])}
    rows = [
        {
            "cells": [{"text": _cell(r[n]), "number": n in numbers} for n in shown],
            "why": r["why"],
        }
        for r in table.to_dict("records")
    ]
    content = render(
        "status.html",
        version=__version__,
        summary=summary(table),
        head=[{"text": h, "number": n in numbers} for n, h in shown.items()],
        rows=rows,
        reports=[
            {"file": file, "title": title}
            for file, title in REPORTS.items()
            if (path.parent / file).is_file()
        ],
    )
    write_text(path, content)


def _cell(value) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else f"{value:g}"
