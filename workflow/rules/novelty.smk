# Reads:  models, training curves, feature distances, and the images of the data set.
# Writes: figures of what the constraint acts on (PDF, PNG), after training and over it.


rule draw_novelty:
    input:
        models=of_pair("model"),
        curves=of_pair("curve"),
        images=[TRAINING, TEST],
        ground_truth=GROUND_TRUTH,
    output:
        f"{RESULTS}/figures/novelty_{{declared}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/novelty_{{declared}}_{{category}}.png",
            caption="../report/novelty.rst",
            category="Figures",
            labels={"figure": "novelty", "method": "{declared}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{category}}/{{declared}}/draw_novelty.log",
    params:
        stem=f"{RESULTS}/figures/novelty_{{declared}}_{{category}}",
        labels=labels,
        curves=lambda wildcards, input: [f"--curve={path}" for path in input.curves],
        quantiles=",".join(map(str, config["dfsc"]["quantiles"])),
        source=config["pretraining"]["images"],
        code=code_digest("novelty"),
    message:
        "draw what the constraint acts on, {wildcards.category}, {wildcards.declared}"
    shell:
        "dfsc novelty {input.models} {params.labels:q} {params.curves} --dataset {DATASET:q} --category {wildcards.category} "
        "--quantiles {params.quantiles} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_novelty_over_training:
    input:
        distances=of_pair("distances"),
        curves=of_pair("curve"),
    output:
        f"{RESULTS}/figures/novelty_over_training_{{declared}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/novelty_over_training_{{declared}}_{{category}}.png",
            caption="../report/novelty_over_training.rst",
            category="Figures",
            labels={"figure": "novelty over training", "method": "{declared}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{category}}/{{declared}}/draw_novelty_over_training.log",
    params:
        stem=f"{RESULTS}/figures/novelty_over_training_{{declared}}_{{category}}",
        labels=labels,
        curves=lambda wildcards, input: [f"--curve={path}" for path in input.curves],
        quantiles=",".join(map(str, config["dfsc"]["quantiles"])),
        source=config["pretraining"]["images"],
        code=code_digest("novelty-over-training"),
    message:
        "draw what the constraint acts on over training, {wildcards.category}, {wildcards.declared}"
    shell:
        "dfsc novelty-over-training {input.distances} {params.labels:q} {params.curves} --quantiles {params.quantiles} --output {params.stem} "
        "--title '{wildcards.category} (pretraining images: {params.source})' > {log} 2>&1"
