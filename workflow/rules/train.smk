# Reads:  a category's manifest, the teacher, and the index of the penalty images.
# Writes: model.pt, its training curve, the feature distance (T' - A)^2 of one image at a few steps, and training.json,
# which says what the model was made from.
# One job per cell (category, method, seed). Baseline and DFSC differ by `settings.dfsc` alone; Table 7's differ from the
# baseline by `settings.protocol` or by their penalty images.


rule train:
    input:
        manifest=TRAINING,
        teacher=lambda wildcards: f"{TEACHER}/teacher.pt".format(size=GRID.method(wildcards.method).size),
        teacher_record=lambda wildcards: f"{TEACHER}/teacher.json".format(size=GRID.method(wildcards.method).size),
        index=lambda wildcards: penalty_of(wildcards.method).index,
    output:
        **made_by("train"),
    log:
        f"{CELL_LOG}/train.log",
    benchmark:
        f"{CELL_LOG}/train.benchmark.tsv"
    wildcard_constraints:
        method=any_of(TRAINED),
    # One thread computes, so that the bits do not depend on how many cores the machine has.
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=720,
    params:
        settings=lambda wildcards: as_json(
            grid.training_settings(config, GRID.method(wildcards.method), wildcards.seed)
        ),
        # As a function of `output`, this param is not tracked: a moved folder holds the same images.
        penalty_folder=lambda wildcards, output: penalty_of(wildcards.method).folder,
        checkpoints=f"{RESULTS}/checkpoints",
        kept=KEPT,
        progress=f"{CELL_LOG}/train.progress.json",  # not declared: it outlives an attempt
        code=code_digest("train"),
    message:
        "train {wildcards.method} on {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc train --settings {params.settings:q} --dataset {DATASET:q} --category {wildcards.category} "
        "--manifest {input.manifest} --teacher {input.teacher} --pretraining-index {input.index} "
        "--pretraining-folder {params.penalty_folder:q} --output {output.model} --curve {output.curve} "
        "--distances {output.distances} --record {output.record} --checkpoints {params.checkpoints} "
        "--progress {params.progress} --kept {params.kept} --workers $(({threads} - 1)) " + SHOWN_AND_KEPT
