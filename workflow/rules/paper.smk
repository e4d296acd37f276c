# Reads:  every receipt and, through them, MLflow; small maps for the heatmaps.
# Writes: tables (CSV, Markdown, LaTeX) and figures (PDF, PNG).


rule tables:
    input:
        receipts,
    output:
        runs=f"{RESULTS}/tables/runs.csv",
        tables=tables(),
    log:
        f"{LOGS}/tables.log",
    params:
        uri=config["tracking"]["uri"],
        folder=f"{RESULTS}/tables",
        code=code_digest("tables", "tracking"),
    message:
        "assemble the tables from MLflow"
    shell:
        "dfsc tables --uri {params.uri:q} --output {params.folder} {input} > {log} 2>&1"


rule draw_sweep:
    input:
        f"{RESULTS}/tables/runs.csv",
    output:
        expand(
            f"{RESULTS}/figures/auroc_over_quantile_{{size}}.{{ending}}",
            size=SIZES,
            ending=["pdf", "png"],
        ),
    log:
        f"{LOGS}/draw_sweep.log",
    params:
        stem=f"{RESULTS}/figures/auroc_over_quantile",
        code=code_digest("figures"),
    message:
        "draw image AUROC over the quantile"
    shell:
        "dfsc sweep --runs {input} --output {params.stem} > {log} 2>&1"


rule draw_heatmaps:
    input:
        maps=expand(
            f"{MODEL}/maps.npz", method=METHODS, seed=SEEDS[0], allow_missing=True
        ),
        manifest=f"{RESULTS}/manifests/{{category}}.csv",
    output:
        multiext(f"{RESULTS}/figures/heatmaps_{{size}}_{{category}}", ".pdf", ".png"),
    log:
        f"{LOGS}/{{size}}/{{category}}/draw_heatmaps.log",
    params:
        maps=lambda wildcards, input: [
            f"{method}={path}" for method, path in zip(METHODS, input.maps)
        ],
        stem=f"{RESULTS}/figures/heatmaps_{{size}}_{{category}}",
        dataset=DATASET,
        padding=config["inference"]["padding"],
        source=config["pretraining"]["images"],
        code=code_digest("figures"),
    message:
        "draw heatmaps of {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc heatmaps {params.maps} --dataset {params.dataset:q} --category {wildcards.category} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_model_heatmaps:
    input:
        maps=f"{MODEL}/maps.npz",
    output:
        multiext(f"{MODEL}/heatmaps", ".pdf", ".png"),
    log:
        f"{MODEL_LOG}/heatmaps.log",
    params:
        stem=f"{MODEL}/heatmaps",
        dataset=DATASET,
        padding=config["inference"]["padding"],
        source=config["pretraining"]["images"],
        code=code_digest("figures"),
    shell:
        "dfsc heatmaps {wildcards.method}={input.maps} --dataset {params.dataset:q} --category {wildcards.category} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"
