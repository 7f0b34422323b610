"""What is done, what failed and why: `snakemake status`, at any time."""


localrules:
    status,


rule status:
    log:
        "results/logs/status.log",
    benchmark:
        "results/benchmarks/status.tsv"
    params:
        study=status_arguments(),
    message:
        "Status of every subject, model and instrument"
    shell:
        'python "$SCRIPTS"/status.py {params.study} 2> {log:q}'


onsuccess:
    write_status()


onerror:
    write_status()
