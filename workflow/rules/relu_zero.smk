"""ReLU'(0): bifurcation zone by precision, surprise, learning, random rounding."""

from roundoff.data.classification.load import dataset_path
from roundoff.relu_zero.jobs import jobs as relu_zero_jobs
from roundoff.relu_zero.jobs import outputs as relu_zero_outputs
from roundoff.relu_zero.jobs import size_of as relu_zero_size


rule relu_zero:
    input:
        **relu_zero_jobs(CONFIG.relu_zero),
    output:
        relu_zero_outputs(CONFIG.relu_zero),
    log:
        "results/logs/relu_zero/relu_zero.log",
    benchmark:
        "results/benchmarks/relu_zero/relu_zero.tsv"
    params:
        folder=lambda w, output: Path(output[0]).parent,
        networks=lambda w, input: (
            f"--networks {' '.join(input.networks)}" if input.networks else ""
        ),
    message:
        "Gathering what was found about ReLU'(0)"
    shell:
        'python "$SCRIPTS"/relu_zero.py --draws {input.draws} --rounding {input.rounding}'
        " --surprise {input.surprise} --learning {input.learning} --rates {input.rates}"
        " --plane {input.plane} {params.networks} --folder {params.folder} 2> {log:q}"


rule relu_zero_draws:
    input:
        mnist=dataset_path("mnist"),
    output:
        table="results/relu_zero/draws/{axis}_{precision}_{draws}.tsv",
    log:
        "results/logs/relu_zero/draws_{axis}_{precision}_{draws}.log",
    benchmark:
        "results/benchmarks/relu_zero/draws_{axis}_{precision}_{draws}.tsv"
    wildcard_constraints:
        axis="layers|width|batch",
        precision=r"b?float\d+",
        draws=r"\d+-\d+",
    params:
        seed=CONFIG.seed,
    message:
        "ReLU'(0): draws {wildcards.draws} along {wildcards.axis}, {wildcards.precision}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_draws.py --mnist {input.mnist}'
        " --axis {wildcards.axis} --precision {wildcards.precision}"
        " --draws {wildcards.draws} --seed {params.seed} --table {output.table:q}"
        " 2> {log:q}"


rule relu_zero_rounding:
    input:
        mnist=dataset_path("mnist"),
    output:
        table="results/relu_zero/rounding/{precision}_{draws}.tsv",
    log:
        "results/logs/relu_zero/rounding_{precision}_{draws}.log",
    benchmark:
        "results/benchmarks/relu_zero/rounding_{precision}_{draws}.tsv"
    wildcard_constraints:
        precision=r"b?float\d+",
        draws=r"\d+-\d+",
    params:
        images=lambda w: dict(relu_zero_size(CONFIG.relu_zero).rounding_images)[
            w.precision
        ],
        mode=CONFIG.relu_zero.mode,
        seed=CONFIG.seed,
    message:
        "ReLU'(0): random rounding, draws {wildcards.draws}, {wildcards.precision}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_rounding.py --mnist {input.mnist}'
        " --precision {wildcards.precision} --draws {wildcards.draws}"
        " --images {params.images} --mode {params.mode} --seed {params.seed}"
        " --table {output.table:q} 2> {log:q}"


rule relu_zero_surprise:
    input:
        mnist=dataset_path("mnist"),
    output:
        table="results/relu_zero/surprise/{precision}.tsv",
    log:
        "results/logs/relu_zero/surprise_{precision}.log",
    benchmark:
        "results/benchmarks/relu_zero/surprise_{precision}.tsv"
    wildcard_constraints:
        precision=r"b?float\d+",
    params:
        iterations=relu_zero_size(CONFIG.relu_zero).surprise_iterations,
        seeds=relu_zero_size(CONFIG.relu_zero).surprise_seeds,
        seed=CONFIG.seed,
    message:
        "ReLU'(0): copies that part, {wildcards.precision}"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_surprise.py --mnist {input.mnist}'
        " --precision {wildcards.precision} --iterations {params.iterations}"
        " --seeds {params.seeds} --seed {params.seed} --table {output.table:q} 2> {log:q}"


rule relu_zero_plane:
    input:
        mnist=dataset_path("mnist"),
    output:
        table="results/relu_zero/plane.tsv",
    log:
        "results/logs/relu_zero/plane.log",
    benchmark:
        "results/benchmarks/relu_zero/plane.tsv"
    params:
        seed=CONFIG.seed,
    message:
        "ReLU'(0): the hyperplane of one neuron, from close up"
    shell:
        'OMP_NUM_THREADS=1 python "$SCRIPTS"/relu_zero_plane.py --mnist {input.mnist}'
        " --seed {params.seed} --table {output.table:q} 2> {log:q}"


include: "relu_zero_networks.smk"
