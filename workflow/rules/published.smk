"""The published tables of arXiv 2308.01939 under our aggregation and figure code."""


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
        folder=CONFIG.published_folder,
    message:
        "Rebuilding the published tables and figures of arXiv 2308.01939"
    shell:
        'python "$SCRIPTS"/published.py --folder {params.folder:q}'
        " --output results/published 2> {log:q}"
