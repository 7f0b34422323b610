"""Figures, BIDS descriptions and the report."""


localrules:
    describe_dataset,


rule describe_dataset:
    output:
        description="results/{dataset}/dataset_description.json",
        ignore="results/{dataset}/.bidsignore",
    log:
        "results/logs/describe_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/describe_dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset="|".join(["conformed", *MODELS]),
    params:
        title=dataset_title,
        seed=CONFIG.seed,
        source=CONFIG.bids.dir if CONFIG.bids else "config.yaml",
        instrument=MEASURED,
    message:
        "Describing results/{wildcards.dataset} as a BIDS derivative"
    shell:
        'python "$SCRIPTS"/describe_dataset.py --title {params.title:q} --seed {params.seed}'
        " --source {params.source:q} --instrument {params.instrument}"
        " --description {output.description:q}"
        " --ignore {output.ignore:q} 2> {log:q}"


for model, spec in MODELS.items():

    rule:
        name:
            f"figures_{model}"
        input:
            **enough(layout.uncertainty_files(spec, "{subject}", MEASURED)),
            image=layout.conformed("{subject}", spec.grid),
        output:
            **layout.figure_files(spec, "{subject}", MEASURED),
        log:
            f"results/logs/figures/{model}/sub-{{subject}}.log",
        benchmark:
            f"results/benchmarks/figures/{model}/sub-{{subject}}.tsv"
        group:
            "measure"
        resources:
            mem_mb=growing(3000),
            runtime=growing(30),
        params:
            model=model,
            custom=json.dumps(CONFIG.custom_models),
            inputs=partial(figure_inputs, spec=spec),
            outputs=partial(figure_outputs, spec=spec),
        message:
            f"{model}: drawing {{wildcards.subject}}"
        shell:
            'python "$SCRIPTS"/figures.py --model {params.model}'
            " --custom-models {params.custom:q} --image {input.image:q}"
            " {params.inputs} {params.outputs} 2> {log:q}"


rule overview:
    input:
        pairs_of("bits_table"),
        pairs_of("summary"),
        pairs_of("regions_table"),
    output:
        bits_table="results/tables/bits.tsv",
        regions_table="results/tables/regions.tsv",
        bits_figure="results/figures/bits.png",
        dice_figure="results/figures/dice.png",
    log:
        "results/logs/overview.log",
    benchmark:
        "results/benchmarks/overview.tsv"
    group:
        "report"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        study=study_arguments,
    message:
        "Joining the tables of all subjects and models"
    shell:
        'python "$SCRIPTS"/overview.py {params.study} --bits-table {output.bits_table}'
        " --regions-table {output.regions_table} --bits-figure {output.bits_figure}"
        " --dice-figure {output.dice_figure} 2> {log:q}"


rule report:
    input:
        **rules.overview.output,
        figures=all_figures(),
        canaries=[layout.canary_file(i) for i in INSTRUMENTS],
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    group:
        "report"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        study=study_arguments,
    message:
        "Writing the report"
    shell:
        'python "$SCRIPTS"/report.py {params.study} --bits-figure {input.bits_figure}'
        " --dice-figure {input.dice_figure} --bits-table {input.bits_table}"
        " --regions-table {input.regions_table} --output {output} 2> {log:q}"
