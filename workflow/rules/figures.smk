# Reads:  small maps, models, and the images of the data set.
# Writes: figures that show images (PDF, PNG): chosen by name, the worst, and what the constraint acts on.


rule draw_heatmaps:
    input:
        maps=expand(f"{MODEL}/maps.npz", method=PAIR, seed=SEEDS[0], allow_missing=True),
        scores=expand(f"{MODEL}/scores.csv", method=PAIR[-1], seed=SEEDS[0], allow_missing=True),
        ground_truth=GROUND_TRUTH,
    output:
        f"{RESULTS}/figures/{{choice}}_{{size}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/{{choice}}_{{size}}_{{category}}.png",
            caption="../report/heatmaps.rst",
            category="Figures",
            labels={"figure": "{choice}", "size": "{size}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{size}}/{{category}}/draw_{{choice}}.log",
    wildcard_constraints:
        choice="heatmaps|worst",
    params:
        maps=lambda wildcards, input: [f"{method}={path}" for method, path in zip(PAIR, input.maps)],
        choice=lambda wildcards, input: f"--worst {input.scores}" if wildcards.choice == "worst" else "",
        stem=f"{RESULTS}/figures/{{choice}}_{{size}}_{{category}}",
        padding=config["inference"]["padding"],
        source=config["pretraining"]["images"],
        code=code_digest("heatmaps"),
    message:
        "draw {wildcards.choice} of {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc heatmaps {params.maps} --dataset {DATASET:q} --category {wildcards.category} {params.choice} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_novelty:
    input:
        models=expand(f"{MODEL}/model.pt", method=PAIR, seed=SEEDS[0], allow_missing=True),
        images=TEST,
        ground_truth=GROUND_TRUTH,
    output:
        f"{RESULTS}/figures/novelty_{{size}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/novelty_{{size}}_{{category}}.png",
            caption="../report/novelty.rst",
            category="Figures",
            labels={"figure": "novelty", "size": "{size}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{size}}/{{category}}/draw_novelty.log",
    params:
        stem=f"{RESULTS}/figures/novelty_{{size}}_{{category}}",
        quantiles=",".join(map(str, config["dfsc"]["quantiles"])),
        source=config["pretraining"]["images"],
        code=code_digest("novelty"),
    message:
        "draw what the constraint acts on, {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc novelty {input.models} --dataset {DATASET:q} --category {wildcards.category} "
        "--quantiles {params.quantiles} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_novelty_over_training:
    input:
        expand(f"{MODEL}/differences.npz", method=PAIR, seed=SEEDS[0], allow_missing=True),
    output:
        f"{RESULTS}/figures/novelty_over_training_{{size}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/novelty_over_training_{{size}}_{{category}}.png",
            caption="../report/novelty_over_training.rst",
            category="Figures",
            labels={"figure": "novelty over training", "size": "{size}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{size}}/{{category}}/draw_novelty_over_training.log",
    params:
        stem=f"{RESULTS}/figures/novelty_over_training_{{size}}_{{category}}",
        quantiles=",".join(map(str, config["dfsc"]["quantiles"])),
        source=config["pretraining"]["images"],
        code=code_digest("novelty-over-training"),
    message:
        "draw what the constraint acts on over training, {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc novelty-over-training {input} --quantiles {params.quantiles} --output {params.stem} "
        "--title '{wildcards.category} (pretraining images: {params.source})' > {log} 2>&1"


rule draw_model_heatmaps:
    input:
        maps=f"{MODEL}/maps.npz",
        ground_truth=GROUND_TRUTH,
    output:
        multiext(f"{MODEL}/heatmaps", ".pdf", ".png"),
    log:
        f"{MODEL_LOG}/heatmaps.log",
    params:
        stem=f"{MODEL}/heatmaps",
        padding=config["inference"]["padding"],
        source=config["pretraining"]["images"],
        code=code_digest("heatmaps"),
    shell:
        "dfsc heatmaps {wildcards.method}={input.maps} --dataset {DATASET:q} --category {wildcards.category} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"
