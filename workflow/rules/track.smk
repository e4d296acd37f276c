# Reads:  everything that one model produced.
# Writes: one finished MLflow run, and its receipt run.json {run_id, key, experiment, metrics_digest}.
# Local: GPU jobs write files and never wait for a tracking store.


rule track:
    input:
        manifests=MANIFESTS,
        model=f"{MODEL}/model.pt",
        training=f"{MODEL}/training.json",
        curve=f"{MODEL}/training_curve.csv",
        scores=f"{MODEL}/scores.csv",
        metrics=f"{MODEL}/metrics.json",
        heatmaps=f"{MODEL}/heatmaps.png",
    output:
        f"{MODEL}/run.json",
    log:
        f"{MODEL_LOG}/track.log",
    priority: 30
    params:
        uri=config["tracking"]["uri"],
        experiment=BENCHMARK,
        folder=MODEL,
        manifests=lambda wildcards, input: [f"--manifest={path}" for path in input.manifests],
        code=code_digest("track"),
    message:
        "track {wildcards.method} on {wildcards.category}, seed {wildcards.seed}, size {wildcards.size}"
    shell:
        "dfsc track --model-folder {params.folder} --uri {params.uri:q} --experiment {params.experiment} "
        "--category {wildcards.category} --method {wildcards.method} {params.manifests} "
        "--output {output} > {log} 2>&1"


rule track_teacher:
    input:
        teacher=f"{RESULTS}/{{size}}/teacher.pt",
        curve=f"{RESULTS}/{{size}}/teacher.csv",
        provenance=f"{RESULTS}/{{size}}/teacher.json",
    output:
        f"{RESULTS}/{{size}}/teacher_run.json",
    log:
        f"{LOGS}/{{size}}/track_teacher.log",
    params:
        uri=config["tracking"]["uri"],
        benchmark=BENCHMARK,
        code=code_digest("teacher track"),
    message:
        "track teacher {wildcards.size}"
    shell:
        "dfsc teacher track {input.teacher} --uri {params.uri:q} --benchmark {params.benchmark} --output {output} "
        "> {log} 2>&1"
