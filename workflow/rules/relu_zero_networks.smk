"""ReLU'(0): training against s, and the convolutional networks on CIFAR-10."""

from roundoff.relu_zero.sizes import DATASETS


rule relu_zero_rate:
    input:
        data=lambda w: dataset_path(DATASETS[w.network]),
    output:
        table="results/relu_zero/learning/{network}_rate.tsv",
    log:
        "results/logs/relu_zero/rate_{network}.log",
    benchmark:
        "results/benchmarks/relu_zero/rate_{network}.tsv"
    wildcard_constraints:
        network="[a-z0-9_]+",
    params:
        size=CONFIG.relu_zero.size,
        device=CONFIG.relu_zero.device,
        seed=CONFIG.seed,
    message:
        "ReLU'(0): learning rate of {wildcards.network}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_rate.py --data {input.data}'
        " --network {wildcards.network} --size {params.size} --device {params.device}"
        " --seed {params.seed} --table {output.table:q} 2> {log:q}"


rule relu_zero_learning:
    input:
        data=lambda w: dataset_path(DATASETS[w.network]),
        rates="results/relu_zero/learning/{network}_rate.tsv",
    output:
        table="results/relu_zero/learning/{network}_start-{number}.tsv",
    log:
        "results/logs/relu_zero/learning_{network}_{number}.log",
    benchmark:
        "results/benchmarks/relu_zero/learning_{network}_{number}.tsv"
    wildcard_constraints:
        network="[a-z0-9_]+",
        number=r"\d+",
    params:
        size=CONFIG.relu_zero.size,
        device=CONFIG.relu_zero.device,
        seed=CONFIG.seed,
    message:
        "ReLU'(0): training {wildcards.network} with every s, start {wildcards.number}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_learning.py --data {input.data}'
        " --network {wildcards.network} --size {params.size} --rates {input.rates}"
        " --number {wildcards.number} --device {params.device} --seed {params.seed}"
        " --table {output.table:q} 2> {log:q}"


rule relu_zero_networks:
    input:
        cifar10=dataset_path("cifar10"),
    output:
        table="results/relu_zero/networks/{network}_{precision}.tsv",
    log:
        "results/logs/relu_zero/networks_{network}_{precision}.log",
    benchmark:
        "results/benchmarks/relu_zero/networks_{network}_{precision}.tsv"
    wildcard_constraints:
        network="[a-z0-9_]+",
        precision=r"b?float\d+",
    params:
        draws=relu_zero_size(CONFIG.relu_zero).network_draws,
        batches=relu_zero_size(CONFIG.relu_zero).network_batches,
        device=CONFIG.relu_zero.device,
        seed=CONFIG.seed,
    message:
        "ReLU'(0): first differing batch of {wildcards.network}, {wildcards.precision}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_networks.py'
        " --cifar10 {input.cifar10} --network {wildcards.network}"
        " --precision {wildcards.precision} --draws {params.draws}"
        " --batches {params.batches} --device {params.device} --seed {params.seed}"
        " --table {output.table:q} 2> {log:q}"
