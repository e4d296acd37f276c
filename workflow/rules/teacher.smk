# Reads:  the index of the pretraining images and the backbone's weights, or a published teacher.
# Writes: teachers/<size>/teacher.pt and teacher.json, which says where it is from; of a pretrained one, its curve too.

with stopping_in_one_line():
    BACKBONE_WEIGHTS = place_of(BACKBONE, "teacher.backbone", SOURCES) if FETCHES_BACKBONE else None
PUBLISHED = config["teacher"].get("published", {})
PRETRAINED = [size for size in SIZES if size not in PUBLISHED]


rule pretrain_teacher:
    input:
        index=INDEX,
        backbone=marker_of(BACKBONE),
    output:
        teacher=f"{TEACHER}/teacher.pt",
        curve=f"{TEACHER}/teacher.csv",
        record=f"{TEACHER}/teacher.json",
    log:
        f"{TEACHER_LOG}/teacher.log",
    benchmark:
        f"{TEACHER_LOG}/teacher.benchmark.tsv"
    wildcard_constraints:
        size="|".join(PRETRAINED) or "none",
    # Two threads compute whatever Snakemake grants: their number shapes the last bits on a CPU.
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        settings=lambda wildcards: as_json(grid.teacher_settings(config, wildcards.size)),
        # As a function of `output`, this param is not tracked: weights at another place are the same weights.
        weights=lambda wildcards, output: ["--backbone-weights", BACKBONE_WEIGHTS] if BACKBONE_WEIGHTS else [],
        checkpoints=f"{RESULTS}/checkpoints",
        progress=f"{TEACHER_LOG}/teacher.progress.json",  # not declared: it outlives an attempt
        code=code_digest("teacher pretrain"),
    message:
        "pretrain teacher {wildcards.size}"
    shell:
        "dfsc teacher pretrain --settings {params.settings:q} --pretraining-index {input.index} "
        "--pretraining-folder {PRETRAINING_FOLDER:q} {params.weights:q} --output {output.teacher} "
        "--curve {output.curve} --record {output.record} --checkpoints {params.checkpoints} --progress {params.progress} --threads 2 --workers {threads} "
        + SHOWN_AND_KEPT


rule import_teacher:
    input:
        lambda wildcards: PUBLISHED[wildcards.size],
    output:
        teacher=f"{TEACHER}/teacher.pt",
        record=f"{TEACHER}/teacher.json",
    log:
        f"{TEACHER_LOG}/teacher.log",
    wildcard_constraints:
        size="|".join(PUBLISHED) or "none",
    params:
        code=code_digest("teacher import"),
    message:
        "take over the published teacher {input}"
    shell:
        "dfsc teacher import {input:q} --size {wildcards.size} --output {output.teacher} "
        "--record {output.record} > {log} 2>&1"
