# Reads:  a model, the manifest, and the ground truth it lists.
# Writes: image scores and small anomaly maps, then metrics.json and the ROC and sPRO curves; the speed of each size.
# Priorities: a model is judged and tracked before the next one is trained.


# Of these the first validation images scale the maps, and all are scored again: methods of Table 7.
RECALIBRATED = [method.name for method in GRID.methods if "calibration_images" in (method.protocol or {})]


rule score:
    input:
        model=lambda wildcards: of_model("model", wildcards),
        manifest=TEST,
        validation=lambda wildcards: TRAINING if wildcards.method in RECALIBRATED else [],
    output:
        **made_by("score"),
    log:
        f"{CELL_LOG}/score.log",
    benchmark:
        f"{CELL_LOG}/score.benchmark.tsv"
    wildcard_constraints:
        method=any_of(OF_MODELS),
    priority: 10
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=30,
    params:
        settings=lambda wildcards: as_json(grid.scoring_settings(config, GRID.method(wildcards.method))),
        validation=lambda wildcards, input: [f"--validation={path}" for path in [input.validation] if path],
        kept=KEPT,
        code=code_digest("score"),
    message:
        "score {wildcards.category} with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "dfsc score --model {input.model} --settings {params.settings:q} --dataset {DATASET:q} "
        "--category {wildcards.category} --manifest {input.manifest} {params.validation} --scores {output.scores} "
        "--maps {output.maps} --kept {params.kept} > {log} 2>&1"


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


rule measure_speed:
    output:
        f"{RESULTS}/{grid.speed_path('{size}')}",
    log:
        f"{LOGS}/speed/{{size}}.log",
    priority: -1  # after trainings that could run
    # Measured once, where scoring runs: it reads nothing that is trained, so that no result makes it run again.
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=30,
    params:
        image_size=config["training"]["image_size"],
        settings=as_json(config["inference"]),
        code=code_digest("speed"),
    message:
        "measure how fast networks of size {wildcards.size} judge images"
    shell:
        "dfsc speed --size {wildcards.size} --image-size {params.image_size} --settings {params.settings:q} "
        "--output {output} > {log} 2>&1"
