# Reads:  every receipt and, through them, MLflow.
# Writes: tables (CSV, Markdown, LaTeX, HTML), and the figures of their numbers (PDF, PNG).


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
        code=code_digest("tables"),
    message:
        "assemble the tables from MLflow"
    shell:
        "dfsc tables --uri {params.uri:q} --output {params.folder} --grid {params.grid:q} "
        "--reference {input.reference} {input.receipts} > {log} 2>&1"


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
        code=code_digest("sweep"),
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
        code=code_digest("histograms"),
    message:
        "draw histograms of image scores"
    shell:
        "dfsc histograms --tables {params.tables} --output {params.stem} > {log} 2>&1"
