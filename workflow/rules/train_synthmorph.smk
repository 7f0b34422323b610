"""Training of SynthMorph and how stable it is: docs/training.md.

Targets `train_synthmorph` and `training_stability`, not part of the default one. The
checkpoint outlives a killed job: run the target again and training goes on from it.
"""

from roundoff.training.launch import changes as training_changes
from roundoff.training.launch import launch as training_launch
from roundoff.training.launch import maps_option as training_maps

TRAINING = CONFIG.training
TRAINED = "results/training/synthmorph"
STABILITY = "results/training/stability"


rule train_synthmorph:
    input:
        **{view: path for view, path in weight_paths("fastsurfer_demo").items()},
        network=f"{TRAINED}/synthmorph.safetensors",
        scans=[source_path(name) for name in ["bold5000_csi1", "bold5000_csi2"]],
    output:
        table=f"{TRAINED}/overlap.tsv",
        picture=f"{TRAINED}/pairs.png",
    log:
        "results/logs/training/evaluate.log",
    benchmark:
        "results/benchmarks/training/evaluate.tsv"
    resources:
        mem_mb=4000,
    params:
        size=TRAINING.size,
        maps=training_maps(TRAINING),
        seed=CONFIG.seed,
    message:
        "SynthMorph: registering pairs never seen"
    shell:
        'python "$SCRIPTS"/train_synthmorph.py evaluate --size {params.size}'
        " {params.maps} --seed {params.seed} --network {input.network:q}"
        " --scans {input.scans:q} --axial {input.axial:q} --coronal {input.coronal:q}"
        " --sagittal {input.sagittal:q} --table {output.table:q}"
        " --picture {output.picture:q} 2> {log:q}"


rule synthmorph_network:
    input:
        TRAINING.label_maps,
    output:
        network=f"{TRAINED}/synthmorph.safetensors",
        log=f"{TRAINED}/log.csv",
        curve=f"{TRAINED}/loss.png",
    log:
        "results/logs/training/train.log",
    benchmark:
        "results/benchmarks/training/train.tsv"
    threads: TRAINING.processes
    resources:
        mem_mb=4000,
    params:
        launch=training_launch(TRAINING),
        size=TRAINING.size,
        maps=training_maps(TRAINING),
        changes=training_changes(TRAINING),
        seed=CONFIG.seed,
        # Not an output: Snakemake would delete it when the job is killed.
        state=f"{TRAINED}/state.safetensors",
    message:
        "SynthMorph: training, size {params.size}"
    shell:
        '{params.launch} "$SCRIPTS"/train_synthmorph.py train --size {params.size}'
        " {params.maps} {params.changes} --seed {params.seed} --state {params.state:q}"
        " --output {output.network:q} --log {output.log:q} --curve {output.curve:q}"
        " 2> {log:q}"


rule training_stability:
    input:
        expand(
            f"{STABILITY}/{{arm}}_{{number}}.safetensors",
            arm=["control", "rounding", "seeds"],
            number=range(TRAINING.stability.seeds),
        ),
    output:
        expand(
            f"{STABILITY}/{{name}}",
            name=[
                "losses.tsv",
                "lost_bits.tsv",
                "points.tsv",
                "loss.png",
                "points.png",
                "published.png",
                "summary.md",
            ],
        ),
    log:
        "results/logs/training/stability.log",
    benchmark:
        "results/benchmarks/training/stability.tsv"
    params:
        size=TRAINING.stability.size,
        folder=lambda w, output: Path(output[0]).parent,
    message:
        "Stability of training: tables, figures, summary"
    shell:
        'python "$SCRIPTS"/training_stability.py gather --size {params.size}'
        " --runs {input:q} --folder {params.folder:q} 2> {log:q}"


rule training_stability_run:
    input:
        TRAINING.label_maps,
    output:
        f"{STABILITY}/{{arm}}_{{number}}.safetensors",
    log:
        "results/logs/training/{arm}_{number}.log",
    benchmark:
        "results/benchmarks/training/{arm}_{number}.tsv"
    wildcard_constraints:
        arm="control|rounding|seeds",
        number=r"\d+",
    params:
        size=TRAINING.stability.size,
        steps=TRAINING.stability.steps,
        maps=training_maps(TRAINING),
        seed=CONFIG.seed,
    message:
        "Stability of training: {wildcards.arm}, number {wildcards.number}"
    shell:
        'python "$SCRIPTS"/training_stability.py run --size {params.size}'
        " --arm {wildcards.arm} --number {wildcards.number} --steps {params.steps}"
        " {params.maps} --seed {params.seed} --output {output:q} 2> {log:q}"
