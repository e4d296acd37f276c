# Reads:  the index of the pretraining images and the backbone's weights, or a published teacher.
# Writes: teachers/<size>/teacher.pt and teacher.json, which says where it is from; of a pretrained one, its curve too.

with stopping_in_one_line():
    BACKBONE_WEIGHTS = place_of(BACKBONE, "teacher.backbone", SOURCES) if FETCHES_BACKBONE else None
    PUBLISHED_FILES = PUBLISHED | {
        size: place_of(name, f"teacher.published.{size}", SOURCES) for size, name in FETCHED_TEACHERS.items()
    }
    # A fetched file is the one that SOURCES lists, be it one that dfsc knows or not.
    VOUCHED = {size: ["--sha256", read_source(name, SOURCES).sha256] for size, name in FETCHED_TEACHERS.items()}
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
        lambda wildcards: marker_of(FETCHED_TEACHERS.get(wildcards.size)) or PUBLISHED[wildcards.size],
    output:
        teacher=f"{TEACHER}/teacher.pt",
        record=f"{TEACHER}/teacher.json",
    log:
        f"{TEACHER_LOG}/teacher.log",
    wildcard_constraints:
        size="|".join(PUBLISHED) or "none",
    params:
        # As a function of `output`, this param is not tracked: a file at another place is the same teacher.
        file=lambda wildcards, output: PUBLISHED_FILES[wildcards.size],
        vouched=lambda wildcards: VOUCHED.get(wildcards.size, []),
        code=code_digest("teacher import"),
    message:
        "take over the published teacher {params.file}"
    shell:
        "dfsc teacher import {params.file:q} --size {wildcards.size} {params.vouched:q} --output {output.teacher} "
        "--record {output.record} > {log} 2>&1"
