# Reads:  a model, the manifest, and the ground truth it lists.
# Writes: image scores and small anomaly maps, then metrics.json and the ROC and sPRO curves.
# Priorities: a model is judged and tracked before the next one is trained.


rule score:
    input:
        model=FILES["model"],
        manifest=TEST,
    output:
        **made_by("score"),
    log:
        f"{CELL_LOG}/score.log",
    benchmark:
        f"{CELL_LOG}/score.benchmark.tsv"
    wildcard_constraints:
        method=any_of(TRAINED),
    priority: 10
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=30,
    params:
        settings=as_json(config["inference"]),
        code=code_digest("score"),
    message:
        "score {wildcards.category} with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "dfsc score --model {input.model} --settings {params.settings:q} --dataset {DATASET:q} "
        "--category {wildcards.category} --manifest {input.manifest} --scores {output.scores} --maps {output.maps} "
        "> {log} 2>&1"


rule evaluate:
    input:
        maps=FILES["maps"],
        scores=FILES["scores"],
        manifest=GROUND_TRUTH,
    output:
        **made_by("evaluate"),
    log:
        f"{CELL_LOG}/evaluate.log",
    benchmark:
        f"{CELL_LOG}/evaluate.benchmark.tsv"
    priority: 20
    resources:
        mem_mb=6000,
        runtime=30,
    params:
        curves=lambda wildcards, output: output.curves_csv.removesuffix(".csv"),
        code=code_digest("evaluate"),
    message:
        "evaluate {wildcards.method} on {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc evaluate --dataset {DATASET:q} --category {wildcards.category} --maps {input.maps} "
        "--scores {input.scores} --output {output.metrics} --curves {params.curves} --workers {threads} > {log} 2>&1"
