# Reads:  a category's manifest, the teacher, and the index of the penalty images.
# Writes: model.pt, its training curve, the difference T' - A of one image at a few steps (differences.npz), and
# training.json, which says what the model was made from.
# One job per (size, category, method, seed). Baseline and DFSC differ by `settings.dfsc` alone.


rule train:
    input:
        manifest=TRAINING,
        teacher=f"{RESULTS}/{{size}}/teacher.pt",
        index=INDEX,
    output:
        model=f"{MODEL}/model.pt",
        curve=f"{MODEL}/training_curve.csv",
        differences=f"{MODEL}/differences.npz",
        provenance=f"{MODEL}/training.json",
    log:
        f"{MODEL_LOG}/train.log",
    benchmark:
        f"{MODEL_LOG}/train.benchmark.tsv"
    # One thread computes, so that the bits do not depend on how many cores the machine has.
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=720,
    params:
        settings=lambda wildcards: as_json(
            configuration.training_settings(config, wildcards.size, wildcards.method, wildcards.seed)
        ),
        checkpoints=f"{RESULTS}/checkpoints",
        progress=f"{MODEL_LOG}/train.progress.json",  # not declared: it outlives an attempt
        code=code_digest("train"),
    message:
        "train {wildcards.method} on {wildcards.category}, seed {wildcards.seed}, size {wildcards.size}"
    shell:
        "dfsc train --settings {params.settings:q} --dataset {DATASET:q} --category {wildcards.category} "
        "--manifest {input.manifest} --teacher {input.teacher} --pretraining-index {input.index} "
        "--pretraining-folder {PRETRAINING_FOLDER:q} --output {output.model} --checkpoints {params.checkpoints} "
        "--progress {params.progress} --workers $(({threads} - 1)) " + SHOWN_AND_KEPT
