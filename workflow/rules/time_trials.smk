"""Time of the NaN convolution against PyTorch's own (docs/nan_sweep.md)."""

from roundoff.nan_trials import files as trial_files

TRIALS = CONFIG.time_trials


rule time_trials:
    input:
        trial_files.summary(),


rule time_trials_series:
    output:
        trial_files.table_file("{series}"),
    log:
        "results/logs/time_trials/{series}.log",
    benchmark:
        "results/benchmarks/time_trials/{series}.tsv"
    wildcard_constraints:
        series="|".join(trial_files.JOBS),
    threads: TRIALS.quiet_cores
    params:
        size=TRIALS.size,
        repeats=TRIALS.repeats,
        own=TRIALS.threads,
        clock=TRIALS.clock,
    message:
        "Timing the NaN convolution: {wildcards.series}"
    shell:
        'OMP_NUM_THREADS={params.own} python "$SCRIPTS"/time_trials.py measure'
        " --series {wildcards.series} --size {params.size} --repeats {params.repeats}"
        " --threads {params.own} --clock {params.clock} --output {output:q} 2> {log:q}"


rule time_trials_draw:
    input:
        [trial_files.table_file(job) for job in trial_files.JOBS],
    output:
        trial_files.figures(),
        summary=trial_files.summary(),
    log:
        "results/logs/time_trials/draw.log",
    benchmark:
        "results/benchmarks/time_trials/draw.tsv"
    params:
        folder=lambda w, output: str(Path(output.summary).parent),
    message:
        "Time trials: figures and summary"
    shell:
        'python "$SCRIPTS"/time_trials.py draw --folder {params.folder:q} 2> {log:q}'
