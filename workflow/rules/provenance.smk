"""Where results came from: a manifest of the scans, and an RO-Crate on demand."""


localrules:
    inputs_manifest,


rule inputs_manifest:
    input:
        conformed_sidecars(),
    output:
        "results/inputs.tsv",
    log:
        "results/logs/inputs_manifest.log",
    benchmark:
        "results/benchmarks/inputs_manifest.tsv"
    params:
        pattern=lambda w: conformed_sidecar("{subject}"),
        subjects=list(SUBJECTS),
    message:
        "Listing the scans with size and SHA-256"
    shell:
        'python "$SCRIPTS"/inputs_manifest.py --pattern {params.pattern:q}'
        " --subjects {params.subjects:q} --output {output:q} 2> {log:q}"


rule provenance:
    input:
        "results/report.html",
        inputs="results/inputs.tsv",
        datasets=[f for d in ["conformed", *MODELS] for f in layout.dataset_files(d)],
        citation=str(SCRIPTS.parent / "CITATION.cff"),
    output:
        crate="results/ro-crate-metadata.json",
        config="results/provenance/config.yaml",
        citation="results/provenance/CITATION.cff",
        checksums="results/provenance/SHA256SUMS",
    log:
        "results/logs/provenance.log",
    benchmark:
        "results/benchmarks/provenance.tsv"
    params:
        study=study_arguments,
        config=CONFIG.as_yaml(),
    message:
        "Describing the run as an RO-Crate"
    shell:
        'python "$SCRIPTS"/provenance.py {params.study} --inputs {input.inputs:q}'
        " --config {params.config:q} --citation {input.citation:q}"
        " --config-output {output.config:q} --citation-output {output.citation:q}"
        " --checksums {output.checksums:q} 2> {log:q}"
