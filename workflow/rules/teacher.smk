# Reads:  the index of the pretraining images, and the backbone's weights.
# Writes: <size>/teacher.pt, with its curve (.csv) and provenance (.json).

BACKBONE_WEIGHTS = "data/backbone/wide_resnet101_2-32ee1156.pth"


rule pretrain_teacher:
    input:
        index=f"{RESULTS}/pretraining.index",
        backbone=(
            marker_of("wide_resnet101_2")
            if config["teacher"]["backbone_weights"] == "imagenet"
            else []
        ),
    output:
        teacher=f"{RESULTS}/{{size}}/teacher.pt",
        curve=f"{RESULTS}/{{size}}/teacher.csv",
        provenance=f"{RESULTS}/{{size}}/teacher.json",
    log:
        f"{LOGS}/{{size}}/teacher.log",
    benchmark:
        f"{LOGS}/{{size}}/teacher.benchmark.tsv"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        settings=lambda wildcards: as_json(
            configuration.teacher_settings(config, wildcards.size)
        ),
        weights=(
            f"--backbone-weights {BACKBONE_WEIGHTS}"
            if config["teacher"]["backbone_weights"] == "imagenet"
            else ""
        ),
        checkpoints=f"{RESULTS}/checkpoints",
        code=code_digest("teacher"),
    message:
        "pretrain teacher {wildcards.size}"
    shell:
        "dfsc pretrain --settings {params.settings:q} --pretraining-index {input.index} {params.weights} "
        "--output {output.teacher} --checkpoints {params.checkpoints} --threads {threads} --workers {threads} "
        "2>&1 | tee {log}"
