"""NaN operations in whole networks, over thresholds and tolerances (docs/nan_sweep.md)."""

from roundoff.nan_sweep import files as sweep_files
from roundoff.nan_sweep.plan import arguments as sweep_arguments

SWEEP = CONFIG.nan_sweep
SWEPT = {
    name: get_model(name, CONFIG.custom_models).with_options(
        CONFIG.model_options.get(name, {})
    )
    for name in dict.fromkeys([*SWEEP.models, SWEEP.brain_model])
}
GRIDS.update({layout.grid_label(m.grid): m.grid for m in SWEPT.values()})


rule nan_sweep:
    input:
        sweep_files.summary(),


rule nan_sweep_brain:
    input:
        **{f"weights_{r}": p for r, p in weight_paths(SWEEP.brain_model).items()},
        image=layout.conformed("{subject}", SWEPT[SWEEP.brain_model].grid),
    output:
        mask=sweep_files.brain_mask("{subject}"),
        sidecar=sweep_files.brain_mask("{subject}").replace(".nii.gz", ".json"),
    log:
        "results/logs/nan_sweep/brain_sub-{subject}.log",
    benchmark:
        "results/benchmarks/nan_sweep/brain_sub-{subject}.tsv"
    params:
        model=sweep_arguments(CONFIG, SWEPT[SWEEP.brain_model]),
        weights=[f"--weight {a}" for a in assign(weight_paths(SWEEP.brain_model))],
    message:
        "Finding the brain of {wildcards.subject}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/nan_sweep.py brain {params.model}'
        " {params.weights} --subject {wildcards.subject} --image {input.image:q}"
        " --output {output.mask:q} 2> {log:q}"


for swept in SWEEP.models:

    rule:
        name:
            f"nan_sweep_skip_{swept}"
        input:
            **{f"weights_{r}": p for r, p in weight_paths(swept).items()},
            brain=sweep_files.brain_mask("{subject}"),
            image=layout.conformed("{subject}", SWEPT[swept].grid),
        output:
            **sweep_files.skip_files(swept, "{subject}", "{scan}", "{mode}"),
        log:
            f"results/logs/nan_sweep/{swept}_sub-{{subject}}_scan-{{scan}}_{{mode}}.log",
        benchmark:
            f"results/benchmarks/nan_sweep/{swept}_sub-{{subject}}_{{scan}}_{{mode}}.tsv"
        wildcard_constraints:
            scan="stripped|whole",
            mode="aggressive|conservative",
        params:
            model=sweep_arguments(CONFIG, SWEPT[swept], "skip"),
            weights=[f"--weight {a}" for a in assign(weight_paths(swept))],
            outputs=lambda w, output: [f"--output {a}" for a in assign(output)],
        message:
            "{wildcards.mode} NaN operations: {wildcards.subject}, {wildcards.scan}"
        shell:
            'OMP_NUM_THREADS=1 python "$SCRIPTS"/nan_sweep.py skip {params.model}'
            " {params.weights} --subject {wildcards.subject} --image {input.image:q}"
            " --brain {input.brain:q} --scan {wildcards.scan} --mode {wildcards.mode}"
            " {params.outputs} 2> {log:q}"

    rule:
        name:
            f"nan_sweep_bits_{swept}"
        input:
            **{f"weights_{r}": p for r, p in weight_paths(swept).items()},
            canary=layout.canary_file("native"),
            brain=sweep_files.brain_mask("{subject}"),
            image=layout.conformed("{subject}", SWEPT[swept].grid),
        output:
            **sweep_files.bits_files(swept, "{subject}", "{mode}"),
        log:
            f"results/logs/nan_sweep/{swept}_sub-{{subject}}_{{mode}}_bits.log",
        benchmark:
            f"results/benchmarks/nan_sweep/{swept}_sub-{{subject}}_{{mode}}_bits.tsv"
        wildcard_constraints:
            mode="aggressive|conservative",
        params:
            model=sweep_arguments(CONFIG, SWEPT[swept], "bits"),
            weights=[f"--weight {a}" for a in assign(weight_paths(swept))],
            outputs=lambda w, output: [f"--output {a}" for a in assign(output)],
            scan=SWEEP.scans[0],
        message:
            "Significant bits with {wildcards.mode} NaN operations: {wildcards.subject}"
        shell:
            'OMP_NUM_THREADS=1 python "$SCRIPTS"/nan_sweep.py bits {params.model}'
            " {params.weights} --subject {wildcards.subject} --image {input.image:q}"
            " --brain {input.brain:q} --scan {params.scan} --mode {wildcards.mode}"
            " {params.outputs} 2> {log:q}"

    rule:
        name:
            f"nan_sweep_time_{swept}"
        input:
            **{f"weights_{r}": p for r, p in weight_paths(swept).items()},
            brain=sweep_files.brain_mask("{subject}"),
            image=layout.conformed("{subject}", SWEPT[swept].grid),
        output:
            sweep_files.time_file(swept, "{subject}"),
        log:
            f"results/logs/nan_sweep/{swept}_sub-{{subject}}_time.log",
        benchmark:
            f"results/benchmarks/nan_sweep/{swept}_sub-{{subject}}_time.tsv"
        threads: SWEEP.quiet_cores
        params:
            model=sweep_arguments(CONFIG, SWEPT[swept], "time"),
            weights=[f"--weight {a}" for a in assign(weight_paths(swept))],
            scan=SWEEP.scans[0],
            own=SWEEP.threads,
        message:
            "Timing NaN operations: {wildcards.subject}"
        shell:
            'OMP_NUM_THREADS={params.own} python "$SCRIPTS"/nan_sweep.py time'
            " {params.model} {params.weights} --subject {wildcards.subject}"
            " --image {input.image:q} --brain {input.brain:q} --scan {params.scan}"
            " --output {output:q} 2> {log:q}"


rule nan_sweep_summary:
    input:
        sweep_files.all_files(SWEEP.models, list(SUBJECTS), SWEEP.scans),
    output:
        sweep_files.tables(),
        sweep_files.figures(SWEEP.models, list(SUBJECTS), SWEEP.scans),
        summary=sweep_files.summary(),
    log:
        "results/logs/nan_sweep/summary.log",
    benchmark:
        "results/benchmarks/nan_sweep/summary.tsv"
    params:
        models=SWEEP.models,
        custom=json.dumps(CONFIG.custom_models),
        subjects=list(SUBJECTS),
        scans=SWEEP.scans,
        margins=json.dumps(SWEEP.margins.model_dump()),
    message:
        "NaN operations: statistics over subjects, figures and summary"
    shell:
        'python "$SCRIPTS"/nan_sweep.py summary --models {params.models}'
        " --custom-models {params.custom:q} --subjects {params.subjects}"
        " --scans {params.scans} --margins {params.margins:q}"
        " --output {output.summary:q} 2> {log:q}"
