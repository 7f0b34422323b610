"""Samples: one job per subject, model, role and sample (or batch of samples)."""


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
        'ROUNDOFF_MEMORY_MB={resources.mem_mb} python "$SCRIPTS"/canary.py'
        " --instrument {params.instrument}"
        " --settings {params.settings:q} --output {output:q} 2> {log:q}"


for model, spec in MODELS.items():

    for batch in BATCHES:

        rule:
            name:
                f"infer_{model}" + (f"_{batch.span}" if batch.label in ROLES else "")
            input:
                **{f"weights_{r}": p for r, p in weight_paths(model).items()},
                canary=layout.canary_file(batch.label),
                image=layout.conformed("{subject}", spec.grid),
            output:
                batch_files(spec, batch),
            log:
                batch_record("logs", model, batch) + ".log",
            benchmark:
                batch_record("benchmarks", model, batch) + ".tsv"
            threads: 1
            resources:
                mem_mb=growing(4000),
                runtime=partial(batch_minutes, batch=batch),
            params:
                model=model,
                options=json.dumps(dict(spec.options)),
                custom=json.dumps(CONFIG.custom_models),
                label=partial(label_of, batch=batch),
                instrument=partial(batch_instrument, batch=batch),
                settings=partial(batch_settings, batch=batch),
                seed=CONFIG.seed,
                weights=[f"--weight {a}" for a in assign(weight_paths(model))],
                outputs=partial(sample_outputs, spec=spec, batch=batch),
                evidence=partial(sample_evidence, model=model, batch=batch),
                # Not kept as a parameter (`output`): the same sample in another batch
                # is the same sample.
                batch=partial(batch_options, model=model, batch=batch),
            message:
                f"{model}: subject {{wildcards.subject}}, {batch_words(batch)}"
            shell:
                "OMP_NUM_THREADS=1 ROUNDOFF_MEMORY_MB={resources.mem_mb}"
                ' python "$SCRIPTS"/infer_samples.py {params.batch}'
                " --model {params.model} --subject {wildcards.subject}"
                " --label {params.label} --image {input.image:q} --seed {params.seed}"
                " {params.weights} {params.outputs:q}"
                " --options {params.options:q} --custom-models {params.custom:q}"
                " --instrument {params.instrument} --settings {params.settings:q}"
                " --evidence {params.evidence:q} 2> {log:q}"

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
