"""Agreement: the same slices of the same networks under native rounding and Verrou."""

from roundoff.agreement.study import AgreementStudy

AGREEMENT = AgreementStudy(CONFIG, next(iter(SUBJECTS)), RUNTIME.runtime)
GRIDS.update({layout.grid_label(m.grid): m.grid for m in AGREEMENT.models.values()})


rule agreement:
    input:
        AGREEMENT.results,
    output:
        "results/agreement/summary.md",
    log:
        "results/logs/agreement/summary.log",
    benchmark:
        "results/benchmarks/agreement/summary.tsv"
    params:
        missing=lambda wildcards: AGREEMENT.missing(),
        samples=CONFIG.agreement.samples,
        mode=CONFIG.verrou.mode,
    message:
        "Native rounding against Verrou"
    shell:
        'python "$SCRIPTS"/agreement.py --results {input:q} --samples {params.samples}'
        " --mode {params.mode} --missing={params.missing:q} --output {output:q}"
        " 2>&1 | tee {log:q}"


for model, spec in AGREEMENT.models.items():

    rule:
        name:
            f"agreement_sample_{model}"
        input:
            **{f"weights_{r}": p for r, p in weight_paths(model).items()},
            canary=layout.canary_file("{instrument}"),
            image=layout.conformed("{subject}", spec.grid),
        output:
            **AGREEMENT.files(model),
        log:
            f"results/logs/agreement/{model}/sub-{{subject}}_{{instrument}}_{{sample}}.log",
        benchmark:
            f"results/benchmarks/agreement/{model}/sub-{{subject}}_{{instrument}}_{{sample}}.tsv"
        wildcard_constraints:
            instrument="native|verrou",
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: 4000 * attempt,
        params:
            model=model,
            options=json.dumps(dict(spec.options)),
            custom=json.dumps(CONFIG.custom_models),
            settings=AGREEMENT.settings,
            seed=partial(AGREEMENT.seed, model=model),
            weights=[f"--weight {a}" for a in assign(weight_paths(model))],
            outputs=partial(AGREEMENT.outputs, model=model),
            evidence=f"results/verrou/agreement/{model}_sub-{{subject}}_{{sample}}",
        message:
            f"{model}: subject {{wildcards.subject}}, {{wildcards.instrument}} "
            "sample {wildcards.sample} (agreement)"
        shell:
            'OMP_NUM_THREADS=1 python "$SCRIPTS"/infer.py --model {params.model}'
            " --options {params.options:q} --custom-models {params.custom:q}"
            " --subject {wildcards.subject} --image {input.image:q} {params.weights}"
            " --instrument {wildcards.instrument} --settings {params.settings:q}"
            " --sample {wildcards.sample} --seed {params.seed}"
            " --evidence {params.evidence} {params.outputs} 2> {log:q}"

    rule:
        name:
            f"agreement_compare_{model}"
        input:
            partial(AGREEMENT.samples, model=model),
            image=layout.conformed("{subject}", spec.grid),
        output:
            table=f"results/agreement/{model}_sub-{{subject}}.tsv",
            figure=f"results/agreement/{model}_sub-{{subject}}.png",
        log:
            f"results/logs/agreement/{model}/sub-{{subject}}_compare.log",
        benchmark:
            f"results/benchmarks/agreement/{model}/sub-{{subject}}_compare.tsv"
        params:
            model=model,
            options=json.dumps(dict(spec.options)),
            custom=json.dumps(CONFIG.custom_models),
            native=partial(AGREEMENT.folders, model=model, instrument="native"),
            verrou=partial(AGREEMENT.folders, model=model, instrument="verrou"),
            mode=CONFIG.verrou.mode,
        message:
            f"{model}: bits against bits, {{wildcards.subject}}"
        shell:
            'python "$SCRIPTS"/agreement_compare.py --model {params.model}'
            " --options {params.options:q} --custom-models {params.custom:q}"
            " --subject {wildcards.subject} --image {input.image:q}"
            " --native {params.native:q} --verrou {params.verrou:q}"
            " --mode {params.mode} --table {output.table:q} --figure {output.figure:q}"
            " 2> {log:q}"
