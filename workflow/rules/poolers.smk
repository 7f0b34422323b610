"""Poolers: training, stability, and FastSurfer with its pooling replaced."""

from roundoff.poolers import jobs as pooler_jobs

POOLER_SIZE = pooler_jobs.size_of(CONFIG.poolers)
POOLER_SUBJECT = next(iter(SUBJECTS))
POOLER_MODEL = get_model("fastsurfer_demo", CONFIG.custom_models)
POOLERS_PUBLISHED = Path("results/poolers_published")


wildcard_constraints:
    pooler="[a-z0-9_]+",
    image_set="mnist|fashion_mnist|cifar10",
    training=r"\d+",


rule poolers:
    input:
        trained=pooler_jobs.trained(CONFIG.poolers),
        measured=pooler_jobs.measured(CONFIG.poolers),
        fastsurfer="results/poolers/fastsurfer_samples.tsv",
    output:
        pooler_jobs.outputs(),
    log:
        "results/logs/poolers/poolers.log",
    benchmark:
        "results/benchmarks/poolers/poolers.tsv"
    params:
        images=POOLER_SIZE.images or 0,
    message:
        "Gathering what was found about the poolers"
    shell:
        'python "$SCRIPTS"/poolers.py --trained {input.trained}'
        " --measured {input.measured} --fastsurfer {input.fastsurfer}"
        " --images {params.images} --folder results/poolers 2> {log:q}"


rule poolers_train:
    input:
        data="resources/datasets/{image_set}.safetensors",
    output:
        table="results/poolers/training/{image_set}_{pooler}_{training}.tsv",
        weights="results/poolers/training/{image_set}_{pooler}_{training}.safetensors",
    log:
        "results/logs/poolers/train_{image_set}_{pooler}_{training}.log",
    benchmark:
        "results/benchmarks/poolers/train_{image_set}_{pooler}_{training}.tsv"
    params:
        epochs=POOLER_SIZE.epochs,
        images=f"--images {POOLER_SIZE.images}" if POOLER_SIZE.images else "",
        seed=CONFIG.seed,
    message:
        "Poolers: training {wildcards.training} with {wildcards.pooler} on"
        " {wildcards.image_set}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/poolers_train.py'
        " --dataset {wildcards.image_set} --data {input.data:q}"
        " --pooler {wildcards.pooler} --number {wildcards.training} {params.images}"
        " --epochs {params.epochs} --seed {params.seed} --table {output.table:q}"
        " --weights {output.weights:q} 2> {log:q}"


rule poolers_stability:
    input:
        data="resources/datasets/{image_set}.safetensors",
        weights="results/poolers/training/{image_set}_{pooler}_1.safetensors",
    output:
        table="results/poolers/stability/{image_set}_{pooler}.tsv",
    log:
        "results/logs/poolers/stability_{image_set}_{pooler}.log",
    benchmark:
        "results/benchmarks/poolers/stability_{image_set}_{pooler}.tsv"
    params:
        images=POOLER_SIZE.stability_images,
        samples=POOLER_SIZE.samples,
        seed=CONFIG.seed,
    message:
        "Poolers: bits of {wildcards.pooler} on {wildcards.image_set}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/poolers_stability.py'
        " --dataset {wildcards.image_set} --data {input.data:q}"
        " --pooler {wildcards.pooler} --weights {input.weights:q}"
        " --images {params.images} --samples {params.samples} --seed {params.seed}"
        " --table {output.table:q} 2> {log:q}"


rule poolers_fastsurfer:
    input:
        **{f"weights_{r}": p for r, p in weight_paths(POOLER_MODEL.name).items()},
        image=layout.conformed(POOLER_SUBJECT, POOLER_MODEL.grid),
    output:
        table="results/poolers/fastsurfer_samples.tsv",
    log:
        "results/logs/poolers/fastsurfer.log",
    benchmark:
        "results/benchmarks/poolers/fastsurfer.tsv"
    params:
        name=POOLER_MODEL.name,
        subject=POOLER_SUBJECT,
        weights=[f"--weight {a}" for a in assign(weight_paths(POOLER_MODEL.name))],
        samples=POOLER_SIZE.samples,
        seed=CONFIG.seed,
    message:
        "Poolers: FastSurfer with its pooling replaced"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/poolers_fastsurfer.py'
        " --model {params.name} --subject {params.subject} --image {input.image:q}"
        " {params.weights} --samples {params.samples} --seed {params.seed}"
        " --table {output.table:q} 2> {log:q}"


rule poolers_published_train:
    input:
        data="resources/datasets/mnist.safetensors",
    output:
        table=f"{POOLERS_PUBLISHED}/mnist_{{pooler}}.tsv",
        weights=f"{POOLERS_PUBLISHED}/mnist_{{pooler}}.safetensors",
    log:
        "results/logs/poolers/published_{pooler}.log",
    benchmark:
        "results/benchmarks/poolers/published_{pooler}.tsv"
    params:
        seed=CONFIG.seed,
    message:
        "Poolers: 25 epochs of MNIST with {wildcards.pooler}, as published"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/poolers_train.py --dataset mnist'
        " --data {input.data:q} --pooler {wildcards.pooler} --number 1 --epochs 25"
        " --seed {params.seed} --table {output.table:q} --weights {output.weights:q}"
        " 2> {log:q}"


rule poolers_published:
    input:
        expand(rules.poolers_published_train.output.table, pooler=["max", "tdgs"]),
    output:
        f"{POOLERS_PUBLISHED}/curves.png",
    log:
        "results/logs/poolers/published.log",
    benchmark:
        "results/benchmarks/poolers/published.tsv"
    message:
        "Poolers: TDGS against max pooling at the published settings"
    shell:
        'python "$SCRIPTS"/poolers_published.py {input} --figure {output:q} 2> {log:q}'
