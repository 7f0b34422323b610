"""Classifiers: NaN pooling against threshold, tolerance and precision."""

from roundoff.classifiers import jobs as classifier_jobs

XCEPTION = CONFIG.classifiers.xception


wildcard_constraints:
    precision="float32|bfloat16|float16",
    tie_rule="[a-z0-9-]+",


rule classifiers:
    input:
        scores=classifier_jobs.tables(CONFIG.classifiers),
    output:
        classifier_jobs.outputs(),
    log:
        "results/logs/classifiers/classifiers.log",
    benchmark:
        "results/benchmarks/classifiers/classifiers.tsv"
    params:
        skipped=[
            table.replace(".tsv", "_skipped.tsv")
            for table in classifier_jobs.tables(CONFIG.classifiers)
        ],
        epochs=CONFIG.classifiers.epochs,
    message:
        "Gathering what was found about the classifiers"
    shell:
        'python "$SCRIPTS"/classifiers.py --scores {input.scores}'
        " --skipped {params.skipped} --epochs {params.epochs}"
        " --folder results/classifiers 2> {log:q}"


rule classifiers_train:
    input:
        data="resources/datasets/mnist.safetensors",
    output:
        table="results/classifiers/mnist_training.tsv",
        weights="results/classifiers/mnist.safetensors",
    log:
        "results/logs/classifiers/train.log",
    benchmark:
        "results/benchmarks/classifiers/train.tsv"
    params:
        epochs=CONFIG.classifiers.epochs,
        seed=CONFIG.seed,
    message:
        "Classifiers: training the MNIST network"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/classifiers_train.py --data {input.data:q}'
        " --epochs {params.epochs} --seed {params.seed} --table {output.table:q}"
        " --weights {output.weights:q} 2> {log:q}"


rule classifiers_mnist:
    input:
        data="resources/datasets/mnist.safetensors",
        weights=rules.classifiers_train.output.weights,
    output:
        table="results/classifiers/mnist/{precision}_{tie_rule}.tsv",
        skipped="results/classifiers/mnist/{precision}_{tie_rule}_skipped.tsv",
    log:
        "results/logs/classifiers/mnist_{precision}_{tie_rule}.log",
    benchmark:
        "results/benchmarks/classifiers/mnist_{precision}_{tie_rule}.tsv"
    params:
        images=CONFIG.classifiers.test_images,
        seed=CONFIG.seed,
    message:
        "Classifiers: MNIST in {wildcards.precision}, ties {wildcards.tie_rule}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/classifiers_evaluate.py --network mnist'
        " --data {input.data:q} --weights {input.weights:q}"
        " --precision {wildcards.precision} --rule {wildcards.tie_rule}"
        " --images {params.images} --seed {params.seed} --table {output.table:q}"
        " --skipped {output.skipped:q} 2> {log:q}"


if XCEPTION is not None:

    rule classifiers_xception:
        input:
            data=XCEPTION.images,
            weights=XCEPTION.weights,
        output:
            table="results/classifiers/xception/{precision}_{tie_rule}.tsv",
            skipped="results/classifiers/xception/{precision}_{tie_rule}_skipped.tsv",
        log:
            "results/logs/classifiers/xception_{precision}_{tie_rule}.log",
        benchmark:
            "results/benchmarks/classifiers/xception_{precision}_{tie_rule}.tsv"
        params:
            images=XCEPTION.count,
            seed=CONFIG.seed,
        message:
            "Classifiers: Xception in {wildcards.precision}, ties {wildcards.tie_rule}"
        shell:
            'OMP_NUM_THREADS=1 python "$SCRIPTS"/classifiers_evaluate.py'
            " --network xception --data {input.data:q} --weights {input.weights:q}"
            " --precision {wildcards.precision} --rule {wildcards.tie_rule}"
            " --images {params.images} --seed {params.seed} --table {output.table:q}"
            " --skipped {output.skipped:q} 2> {log:q}"
