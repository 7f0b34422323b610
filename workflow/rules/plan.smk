"""Plan: what the study will cost, from a short calibration."""

from roundoff.planning.arguments import plan_arguments


rule plan:
    input:
        [path for model in MODELS for path in weight_paths(model).values()],
    output:
        table="results/plan/plan.tsv",
        summary="results/plan/summary.md",
    log:
        "results/logs/plan.log",
    params:
        arguments=plan_arguments(
            CONFIG, len(SUBJECTS), {m: weight_paths(m) for m in MODELS}
        ),
        # Not `workflow.cores`, which fails where a cluster runs the jobs.
        cores=workflow.resource_settings.cores or 1,
    message:
        "Timing a few slices to predict what the study costs"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/plan.py {params.arguments:q}'
        " --cores {params.cores} --table {output.table:q}"
        " --summary {output.summary:q} 2> {log:q}"
