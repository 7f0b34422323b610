"""How stable the training of FastSurferVINN is: docs/training.md.

Target `segmentation_stability`, not part of the default one.
"""

SEGMENTED = CONFIG.training.segmentation
SEGMENTATION = "results/training/segmentation"


rule segmentation_stability:
    input:
        unseen=f"{SEGMENTATION}/unseen.npz",
        runs=expand(
            f"{SEGMENTATION}/{{arm}}_{{number}}.safetensors",
            arm=["control", "rounding", "seeds"],
            number=range(SEGMENTED.seeds),
        ),
    output:
        expand(
            f"{SEGMENTATION}/{{name}}",
            name=[
                "losses.tsv",
                "lost_bits.tsv",
                "points.tsv",
                "loss.png",
                "points.png",
                "published.png",
                "votes.png",
                "summary.md",
            ],
        ),
    log:
        "results/logs/training/segmentation.log",
    benchmark:
        "results/benchmarks/training/segmentation.tsv"
    params:
        folder=lambda w, output: Path(output[0]).parent,
    message:
        "Stability of segmentation training: tables, figures, summary"
    shell:
        'python "$SCRIPTS"/segmentation_stability.py gather --runs {input.runs:q}'
        " --unseen {input.unseen:q} --folder {params.folder:q} 2> {log:q}"


rule segmentation_heads:
    input:
        **{view: path for view, path in weight_paths("fastsurfer_demo").items()},
        scans=lambda w: [source_path(name) for name in getattr(SEGMENTED, w.part)],
    output:
        f"{SEGMENTATION}/{{part}}.npz",
    log:
        "results/logs/training/segmentation_{part}.log",
    benchmark:
        "results/benchmarks/training/segmentation_{part}.tsv"
    wildcard_constraints:
        part="training|unseen",
    resources:
        mem_mb=4000,
    message:
        "Stability of segmentation training: labelling the {wildcards.part} heads"
    shell:
        'python "$SCRIPTS"/segmentation_stability.py heads --scans {input.scans:q}'
        " --axial {input.axial:q} --coronal {input.coronal:q}"
        " --sagittal {input.sagittal:q} --output {output:q} 2> {log:q}"


rule segmentation_run:
    input:
        training=f"{SEGMENTATION}/training.npz",
        unseen=f"{SEGMENTATION}/unseen.npz",
        start=weight_paths("fastsurfer_demo")["coronal"],
    output:
        f"{SEGMENTATION}/{{arm}}_{{number}}.safetensors",
    log:
        "results/logs/training/segmentation_{arm}_{number}.log",
    benchmark:
        "results/benchmarks/training/segmentation_{arm}_{number}.tsv"
    wildcard_constraints:
        arm="control|rounding|seeds",
        number=r"\d+",
    resources:
        mem_mb=4000,
    params:
        steps=SEGMENTED.steps,
        seed=CONFIG.seed,
    message:
        "Stability of segmentation training: {wildcards.arm}, number {wildcards.number}"
    shell:
        'python "$SCRIPTS"/segmentation_stability.py run --training {input.training:q}'
        " --unseen {input.unseen:q} --start-from {input.start:q} --steps {params.steps}"
        " --arm {wildcards.arm} --number {wildcards.number} --seed {params.seed}"
        " --output {output:q} 2> {log:q}"
