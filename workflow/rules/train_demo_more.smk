"""Demo weights of FONDUE, trained anew: `snakemake train_demo_more`.

Not part of the default target: about ten minutes of processor time. The weights appear
in results/train_demo/ with the log of their training; to ship them, copy them over
those in src/roundoff/models/demo/ and put SHA-256 and size into the source table.
Rule demo_synthmorph trains a small registration network on the template's labels
(docs/training.md).
"""

FONDUE_HEADS = ["bold5000_csi3", "ds000240_sub01", "mni6_t1w"]


rule demo_fondue:
    input:
        [source_path(name) for name in FONDUE_HEADS],
    output:
        weights=f"{DEMO_FOLDER}/fondue_demo.safetensors",
        losses=f"{DEMO_FOLDER}/fondue_demo.csv",
    log:
        "results/logs/train_demo/fondue.log",
    benchmark:
        "results/benchmarks/train_demo/fondue.tsv"
    resources:
        mem_mb=2000,
    message:
        "Demo weights: training FONDUE"
    shell:
        'python "$SCRIPTS"/train_demo_fondue.py train --heads {input:q}'
        " --log {output.losses:q} --output {output.weights:q} 2> {log:q}"


rule demo_synthmorph:
    input:
        rules.demo_template.output,
    output:
        weights=f"{DEMO_FOLDER}/synthmorph_demo.safetensors",
        losses=f"{DEMO_FOLDER}/synthmorph_demo.csv",
        curve=f"{DEMO_FOLDER}/synthmorph_demo.png",
    log:
        "results/logs/train_demo/synthmorph.log",
    benchmark:
        "results/benchmarks/train_demo/synthmorph.tsv"
    resources:
        mem_mb=2000,
    params:
        state=f"{DEMO_FOLDER}/synthmorph_state.safetensors",
    message:
        "Demo weights: training SynthMorph"
    shell:
        'python "$SCRIPTS"/train_synthmorph.py train --size heads --heads {input:q}'
        " --seed 7 --state {params.state:q} --log {output.losses:q}"
        " --curve {output.curve:q} --output {output.weights:q} 2> {log:q}"


rule train_demo_more:
    input:
        rules.demo_fondue.output.weights,
