"""Scans: checked and conformed to the grid of the models."""


rule conform:
    input:
        scan_of,
    output:
        image="results/conformed/sub-{subject}/anat/"
        "sub-{subject}_res-{res}_desc-conformed_T1w.nii.gz",
        sidecar="results/conformed/sub-{subject}/anat/"
        "sub-{subject}_res-{res}_desc-conformed_T1w.json",
    log:
        "results/logs/conform/sub-{subject}_res-{res}.log",
    benchmark:
        "results/benchmarks/conform/sub-{subject}_res-{res}.tsv"
    group:
        "conform"
    resources:
        mem_mb=growing(3000),
        runtime=growing(15),
        serial=1,
    params:
        grid=grid_json,
        sha256=checksum_option,
    message:
        "Conforming the scan of {wildcards.subject} to {wildcards.res}"
    shell:
        'python "$SCRIPTS"/conform.py --image {input:q} --subject {wildcards.subject}'
        " --grid {params.grid:q} {params.sha256} --output {output.image:q} 2> {log:q}"
