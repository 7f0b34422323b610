"""The published tables of arXiv 2308.01939 under our aggregation and figure code."""

from roundoff.uncertainty.published import FILES, missing_table

PUBLISHED = Path(CONFIG.published_folder)


def published_tables(wildcards) -> list[str]:
    """The published tables; where they come from, if one is missing."""
    for name in FILES.values():
        if not (PUBLISHED / name).is_file():
            raise WorkflowError(missing_table(PUBLISHED / name))
    return [str(PUBLISHED / name) for name in FILES.values()]


rule published:
    input:
        published_tables,
    output:
        multiext(
            "results/published/",
            "registration_subjects.tsv",
            "registration_summary.tsv",
            "registration_tests.tsv",
            "dice_summary.tsv",
            "dice_regions.tsv",
            "dice_subjects.tsv",
            "dice_tests.tsv",
            "registration_bits.png",
            "dice_regions.png",
            "dice_subjects.png",
            "summary.md",
        ),
    log:
        "results/logs/published.log",
    benchmark:
        "results/benchmarks/published.tsv"
    params:
        folder=str(PUBLISHED),
    message:
        "Rebuilding the published tables and figures of arXiv 2308.01939"
    shell:
        'python "$SCRIPTS"/published.py --folder {params.folder:q}'
        " --output results/published 2> {log:q}"
