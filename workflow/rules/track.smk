# Reads:  everything that one model produced.
# Writes: one finished MLflow run, and its receipt run.json {run_id, key, experiment, metrics_digest}.
# Local: GPU jobs write files and never wait for a tracking store.


def tracked(wildcards):
    """What is tracked of a cell: of one from outside there is no model, of one judged again the training's record."""
    names = ["scores", "metrics", "curves_csv", "curves_png", "heatmaps_png"]
    if wildcards.method in TRAINED:
        names = ["model", "record", "curve", *names]
    elif wildcards.method not in OF_MODELS:
        names = ["method_record", *names]
    files = {name: FILES[name].format(**wildcards) for name in names}
    if wildcards.method in OF_MODELS:
        files |= {name: of_model(name, wildcards) for name in ("record", "curve")}
    return files


def protocol_of(wildcards):
    """An option that says in what a method of Table 7 deviates."""
    method = GRID.method(wildcards.method)
    return [f"--protocol={method.label}"] if method.protocol else []


rule track:
    input:
        unpack(tracked),
        manifests=MANIFESTS,
    output:
        **made_by("track"),
    log:
        f"{CELL_LOG}/track.log",
    priority: 30
    params:
        uri=config["tracking"]["uri"],
        experiment=BENCHMARK,
        files=lambda wildcards, input: [path for path in input if path not in input.manifests],
        manifests=lambda wildcards, input: [f"--manifest={path}" for path in input.manifests],
        protocol=protocol_of,
        code=code_digest("track"),
    message:
        "track {wildcards.method} on {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc track {params.files} --uri {params.uri:q} --experiment {params.experiment} "
        "--category {wildcards.category} --method {wildcards.method} {params.manifests} {params.protocol:q} "
        "--output {output} > {log} 2>&1"


rule pair:
    input:
        receipts,
    output:
        f"{RESULTS}/pairs.json",
    log:
        f"{LOGS}/pair.log",
    params:
        uri=config["tracking"]["uri"],
        grid=GRID.as_text(),
        code=code_digest("pair"),
    message:
        "give each compared run in MLflow its differences from its baseline"
    shell:
        "dfsc pair --grid {params.grid:q} --uri {params.uri:q} --results {RESULTS} --output {output} > {log} 2>&1"


rule track_teacher:
    input:
        teacher=f"{TEACHER}/teacher.pt",
        curve=f"{TEACHER}/teacher.csv",
        record=f"{TEACHER}/teacher.json",
    output:
        f"{TEACHER}/run.json",
    log:
        f"{TEACHER_LOG}/track.log",
    params:
        uri=config["tracking"]["uri"],
        benchmark=BENCHMARK,
        code=code_digest("teacher track"),
    message:
        "track teacher {wildcards.size}"
    shell:
        "dfsc teacher track {input.teacher} --uri {params.uri:q} --benchmark {params.benchmark} --output {output} "
        "> {log} 2>&1"
