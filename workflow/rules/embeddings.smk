"""Embeddings: digits after every block of FastSurfer, where they are lost."""

EMBEDDED = embeddings_spec()


rule embeddings:
    input:
        expand(
            "results/embeddings/{model}/sub-{subject}_{kind}",
            model=EMBEDDED.name,
            subject=SUBJECTS,
            kind=["digits.tsv", "montage.png", "profile.png"],
        ),


rule embeddings_subject:
    input:
        **{f"weights_{r}": p for r, p in weight_paths(EMBEDDED.name).items()},
        canary=layout.canary_file(MEASURED),
        image=layout.conformed("{subject}", EMBEDDED.grid),
        labels=layout.uncertainty_files(EMBEDDED, "{subject}", MEASURED)["majority"],
    output:
        table=f"results/embeddings/{EMBEDDED.name}/sub-{{subject}}_digits.tsv",
        montage=f"results/embeddings/{EMBEDDED.name}/sub-{{subject}}_montage.png",
        profile=f"results/embeddings/{EMBEDDED.name}/sub-{{subject}}_profile.png",
    log:
        "results/logs/embeddings/sub-{subject}.log",
    benchmark:
        "results/benchmarks/embeddings/sub-{subject}.tsv"
    params:
        name=lambda wildcards: EMBEDDED.name,
        options=json.dumps(dict(EMBEDDED.options)),
        custom=json.dumps(CONFIG.custom_models),
        weights=[f"--weight {a}" for a in assign(weight_paths(EMBEDDED.name))],
        instrument=MEASURED,
        settings=settings(MEASURED),
        view=CONFIG.embeddings.view,
        number=embeddings_slice(),
        samples=CONFIG.embeddings.samples,
        seed=CONFIG.seed,
    message:
        "Digits after every block, subject {wildcards.subject}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/embeddings.py --model {params.name}'
        " --options {params.options:q} --custom-models {params.custom:q}"
        " --subject {wildcards.subject} --image {input.image:q}"
        " --labels {input.labels:q} {params.weights} --view {params.view}"
        " {params.number} --instrument {params.instrument}"
        " --settings {params.settings:q} --samples {params.samples}"
        " --seed {params.seed} --table {output.table:q} --montage {output.montage:q}"
        " --profile {output.profile:q} 2> {log:q}"
