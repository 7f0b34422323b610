"""Samples: one job per subject, model, instrument and sample."""


rule canary:
    output:
        "results/canary/{instrument}.json",
    log:
        "results/logs/canary/{instrument}.log",
    benchmark:
        "results/benchmarks/canary/{instrument}.tsv"
    resources:
        mem_mb=growing(3000),
        runtime=growing(15),
    params:
        instrument=lambda w: instrument_of(w.instrument),
        settings=lambda w: settings(w.instrument),
    message:
        "Canary: does the instrument {wildcards.instrument} act?"
    shell:
        'python "$SCRIPTS"/canary.py --instrument {params.instrument}'
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


for model, spec in MODELS.items():

    rule:
        name:
            f"infer_{model}"
        input:
            **{f"weights_{r}": p for r, p in weight_paths(model).items()},
            canary=layout.canary_file("{instrument}"),
            image=layout.conformed("{subject}", spec.grid),
        output:
            **layout.sample_files(spec, "{subject}", "{instrument}", "{sample}"),
            **layout.sample_sidecars(spec, "{subject}", "{instrument}", "{sample}"),
        log:
            f"results/logs/infer/{model}/sub-{{subject}}_{{instrument}}_{{sample}}.log",
        benchmark:
            f"results/benchmarks/infer/{model}/sub-{{subject}}_{{instrument}}_{{sample}}.tsv"
        threads: 1
        resources:
            mem_mb=growing(4000),
            runtime=sample_minutes,
        params:
            model=model,
            options=json.dumps(dict(spec.options)),
            custom=json.dumps(CONFIG.custom_models),
            instrument=lambda w: instrument_of(w.instrument),
            settings=lambda w: settings(w.instrument),
            seed=partial(seed_of, model=model),
            weights=[f"--weight {a}" for a in assign(weight_paths(model))],
            outputs=partial(sample_outputs, spec=spec),
            evidence=f"results/verrou/{model}/sub-{{subject}}_{{instrument}}_{{sample}}",
        message:
            f"{model}: subject {{wildcards.subject}}, {{wildcards.instrument}} "
            "sample {wildcards.sample}"
        shell:
            'OMP_NUM_THREADS=1 python "$SCRIPTS"/infer.py --model {params.model}'
            " --options {params.options:q} --custom-models {params.custom:q}"
            " --subject {wildcards.subject} --image {input.image:q} {params.weights}"
            " --instrument {params.instrument} --label {wildcards.instrument}"
            " --settings {params.settings:q} --sample {wildcards.sample}"
            " --seed {params.seed} --evidence {params.evidence} {params.outputs}"
            " 2> {log:q}"

    rule:
        name:
            f"check_control_{model}"
        input:
            sidecars=partial(control_sidecars, spec=spec),
            control=partial(plain_outputs, spec=spec, label=layout.CONTROL),
            plain=partial(plain_outputs, spec=spec, label=PLAIN),
        output:
            layout.control_file(model, "{subject}"),
        log:
            f"results/logs/check_control/{model}/sub-{{subject}}.log",
        benchmark:
            f"results/benchmarks/check_control/{model}/sub-{{subject}}.tsv"
        group:
            "measure"
        resources:
            mem_mb=growing(2000),
            runtime=growing(15),
        message:
            f"{model}: are the control samples of {{wildcards.subject}} identical?"
        shell:
            'python "$SCRIPTS"/check_control.py --sidecars {input.sidecars:q}'
            " --control {input.control:q} --plain {input.plain:q}"
            " --output {output:q} 2> {log:q}"
