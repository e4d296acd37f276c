# Reads:  every receipt and, through them, MLflow; small maps and models for the figures of images.
# Writes: tables (CSV, Markdown, LaTeX, HTML) and figures (PDF, PNG), as `snakemake --report` shows them.


localrules:
    draw_histograms,


rule tables:
    input:
        receipts=receipts,
        reference="config/reference_results.csv",
    output:
        runs=f"{RESULTS}/tables/runs.csv",
        comparison=f"{RESULTS}/tables/comparison.csv",
        scores=f"{RESULTS}/tables/scores.csv",
        grid=f"{RESULTS}/tables/grid.json",
        document=f"{RESULTS}/tables/tables.tex",
        tables=expand(
            f"{RESULTS}/tables/{{table}}.{{ending}}",
            table=TABLES,
            ending=["csv", "md", "tex"],
        ),
        pages=[
            report(
                f"{RESULTS}/tables/{table}.html",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": table.replace("_", " ")},
            )
            for table in TABLES
        ],
        provenance=report(
            f"{RESULTS}/tables/provenance.html",
            caption="../report/provenance.rst",
            category="Provenance and cost",
            labels={"table": "provenance"},
        ),
        cost=report(
            f"{RESULTS}/tables/cost.html",
            caption="../report/cost.rst",
            category="Provenance and cost",
            labels={"table": "cost"},
        ),
    log:
        f"{LOGS}/tables.log",
    params:
        uri=config["tracking"]["uri"],
        folder=f"{RESULTS}/tables",
        grid=as_json(
            {
                "sizes": SIZES,
                "categories": CATEGORIES,
                "methods": METHODS,
                "seeds": SEEDS,
                "headline": configuration.headline_method(config),
                "dataset": config["dataset"]["source"],
            }
        ),
        code=code_digest("paper"),
    message:
        "assemble the tables from MLflow"
    shell:
        "dfsc tables --uri {params.uri:q} --output {params.folder} --grid {params.grid:q} {input.receipts} "
        "> {log} 2>&1"


rule draw_sweep:
    input:
        rules.tables.output.comparison,
    output:
        expand(f"{RESULTS}/figures/auroc_over_quantile_{{size}}.pdf", size=SIZES),
        [
            report(
                f"{RESULTS}/figures/auroc_over_quantile_{size}.png",
                caption="../report/auroc_over_quantile.rst",
                category="Figures",
                labels={
                    "figure": "AUROC over quantile",
                    "size": size,
                    "category": "all",
                },
            )
            for size in SIZES
        ],
    log:
        f"{LOGS}/draw_sweep.log",
    params:
        tables=f"{RESULTS}/tables",
        stem=f"{RESULTS}/figures/auroc_over_quantile",
        code=code_digest("figures"),
    message:
        "draw image AUROC over the quantile"
    shell:
        "dfsc sweep --tables {params.tables} --output {params.stem} > {log} 2>&1"


rule draw_histograms:
    input:
        rules.tables.output.scores,
    output:
        expand(f"{RESULTS}/figures/score_histograms_{{size}}.pdf", size=SIZES),
        [
            report(
                f"{RESULTS}/figures/score_histograms_{size}.png",
                caption="../report/score_histograms.rst",
                category="Figures",
                labels={"figure": "score histograms", "size": size, "category": "all"},
            )
            for size in SIZES
        ],
    log:
        f"{LOGS}/draw_histograms.log",
    params:
        tables=f"{RESULTS}/tables",
        stem=f"{RESULTS}/figures/score_histograms",
        code=code_digest("figures"),
    message:
        "draw histograms of image scores"
    shell:
        "dfsc histograms --tables {params.tables} --output {params.stem} > {log} 2>&1"


rule draw_heatmaps:
    input:
        maps=expand(f"{MODEL}/maps.npz", method=PAIR, seed=SEEDS[0], allow_missing=True),
        manifest=f"{RESULTS}/manifests/{{category}}.csv",
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
        maps=lambda wildcards, input: [
            f"{method}={path}" for method, path in zip(PAIR, input.maps)
        ],
        choice=lambda wildcards: "--worst" if wildcards.choice == "worst" else "",
        stem=f"{RESULTS}/figures/{{choice}}_{{size}}_{{category}}",
        dataset=DATASET,
        padding=config["inference"]["padding"],
        source=config["pretraining"]["images"],
        code=code_digest("heatmaps"),
    message:
        "draw {wildcards.choice} of {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc heatmaps {params.maps} --dataset {params.dataset:q} --category {wildcards.category} {params.choice} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_novelty:
    input:
        models=expand(
            f"{MODEL}/model.pt", method=PAIR, seed=SEEDS[0], allow_missing=True
        ),
        manifest=f"{RESULTS}/manifests/{{category}}.csv",
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
        dataset=DATASET,
        source=config["pretraining"]["images"],
        code=code_digest("novelty"),
    message:
        "draw what the constraint acts on, {wildcards.category}, size {wildcards.size}"
    shell:
        "dfsc novelty {input.models} --dataset {params.dataset:q} --category {wildcards.category} "
        "--quantiles {params.quantiles} --source {params.source} --output {params.stem} > {log} 2>&1"


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
        code=code_digest("heatmaps"),
    shell:
        "dfsc heatmaps {wildcards.method}={input.maps} --dataset {params.dataset:q} --category {wildcards.category} "
        "--padding {params.padding} --source {params.source} --output {params.stem} > {log} 2>&1"
