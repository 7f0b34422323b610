"""Figures, BIDS descriptions and the report."""


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
    message:
        "Describing results/{wildcards.dataset} as a BIDS derivative"
    shell:
        'python "$SCRIPTS"/describe_dataset.py --title {params.title:q} --seed {params.seed}'
        " --source {params.source:q} --description {output.description:q}"
        " --ignore {output.ignore:q} 2> {log:q}"
