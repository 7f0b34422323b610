"""Image classification data sets: fetched, checked and converted once."""


rule dataset:
    output:
        "resources/datasets/{dataset}.safetensors",
    log:
        "results/logs/dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset="[a-z0-9_]+",
    retries: 1
    params:
        user=lambda w: (
            f"--from {shlex.quote(CONFIG.datasets[w.dataset])}"
            if w.dataset in CONFIG.datasets
            else ""
        ),
    message:
        "Fetching and converting {wildcards.dataset}"
    shell:
        'python "$SCRIPTS"/convert_dataset.py --dataset {wildcards.dataset}'
        " {params.user} --output {output:q} 2> {log:q}"
