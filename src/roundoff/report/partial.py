"""A report of what is complete, left by a run that could not do everything."""

import shutil
from pathlib import Path

from roundoff import layout
from roundoff.report.study import Study

RESULTS = Path(layout.RESULTS)
PAGE, FOLDER = RESULTS / "report_partial.html", RESULTS / "partial"


def write_partial(study: Study) -> Path | None:
    """Write the report of the pairs of subject and model that are complete.

    Returns its path; None, and nothing is left, where every pair is complete (the
    report says all then) or none is.
    """
    done = study.complete()
    missing = len(list(study)) - len(list(done))
    if not missing or not list(done):
        remove_partial()
        return None
    # Here, because drawing takes seconds to import.
    from roundoff.aggregate import save_table
    from roundoff.report import cohort
    from roundoff.report.page import write_page

    overview = {
        "bits": FOLDER / "bits.png",
        "dice": FOLDER / "dice.png",
        "bits_table": FOLDER / "bits.tsv",
        "regions_table": FOLDER / "regions.tsv",
    }
    bits, regions = cohort.join_tables(done)
    lines = cohort.caption_lines(done)
    save_table(overview["bits_table"], bits)
    save_table(overview["regions_table"], regions)
    cohort.draw_bits_overview(overview["bits"], bits, lines)
    cohort.draw_dice_overview(overview["dice"], regions, lines)
    write_page(PAGE, done, overview, missing=missing)
    return PAGE


def remove_partial() -> None:
    """Delete what an earlier run left."""
    PAGE.unlink(missing_ok=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
