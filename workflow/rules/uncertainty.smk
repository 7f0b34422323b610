"""Uncertainty: what the samples of one subject and model agree on."""

for model, spec in MODELS.items():

    rule:
        name:
            f"uncertainty_{model}"
        input:
            partial(samples_of, spec=spec),
            control=layout.control_file(model, "{subject}"),
            image=layout.conformed("{subject}", spec.grid),
        output:
            **layout.uncertainty_files(spec, "{subject}", MEASURED),
        log:
            f"results/logs/uncertainty/{model}/sub-{{subject}}.log",
        benchmark:
            f"results/benchmarks/uncertainty/{model}/sub-{{subject}}.tsv"
        group:
            "measure"
        resources:
            mem_mb=growing(3000),
            runtime=growing(60),
        params:
            model=model,
            custom=json.dumps(CONFIG.custom_models),
            samples=INSTRUMENTS[MEASURED],
            patterns=partial(sample_patterns, spec=spec),
            outputs=partial(uncertainty_outputs, spec=spec),
            probability=CONFIG.probability,
            confidence=CONFIG.confidence,
        message:
            f"{model}: significant bits of {{wildcards.subject}} over its samples"
        shell:
            'python "$SCRIPTS"/uncertainty.py --model {params.model}'
            " --custom-models {params.custom:q} --image {input.image:q}"
            " --samples {params.samples} {params.patterns:q}"
            " --probability {params.probability} --confidence {params.confidence}"
            " {params.outputs} 2> {log:q}"
