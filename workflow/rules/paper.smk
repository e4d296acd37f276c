# Reads:  every receipt and, through them, MLflow; the measured speeds.
# Writes: tables (CSV, Markdown, LaTeX, HTML), and the figures of their numbers (PDF, PNG).


# Results of others on LOCO say nothing of images of one's own, or of other data sets.
REFERENCE = [] if SOURCE in ARRANGED else "config/reference_results.csv"


def reference_of(wildcards, input):
    """An option that names the results of others."""
    return ["--reference", input.reference] if input.reference else []


rule tables:
    input:
        receipts=receipts,
        speeds=speeds(),
        reference=REFERENCE,
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
        grid=GRID.as_text(),
        reference=reference_of,
        code=code_digest("tables"),
    message:
        "assemble the tables from MLflow"
    shell:
        "dfsc tables --grid {params.grid:q} --uri {params.uri:q} --results {RESULTS} --output {params.folder} "
        "{params.reference} > {log} 2>&1"


rule draw_auroc_over_quantile:
    input:
        rules.tables.output.runs,
        rules.tables.output.comparison,
        rules.tables.output.grid,
    output:
        [
            report(
                f"{RESULTS}/figures/auroc_over_quantile_{baseline.name}.png",
                caption="../report/auroc_over_quantile.rst",
                category="Figures",
                labels={
                    "figure": "AUROC over quantile",
                    "method": baseline.name,
                    "category": "all",
                },
            )
            for baseline in GRID.baselines
        ],
        [f"{RESULTS}/figures/auroc_over_quantile_{baseline.name}.pdf" for baseline in GRID.baselines],
    log:
        f"{LOGS}/draw_auroc_over_quantile.log",
    params:
        tables=f"{RESULTS}/tables",
        stem=f"{RESULTS}/figures/auroc_over_quantile",
        code=code_digest("auroc-over-quantile"),
    message:
        "draw image AUROC over the quantile"
    shell:
        "dfsc auroc-over-quantile --tables {params.tables} --output {params.stem} > {log} 2>&1"


rule draw_histograms:
    input:
        rules.tables.output.scores,
        rules.tables.output.grid,
    output:
        [
            report(
                f"{RESULTS}/figures/score_histograms_{name}.png",
                caption="../report/score_histograms.rst",
                category="Figures",
                labels={
                    "figure": "score histograms",
                    "method": name,
                    "category": "all",
                },
            )
            for name in GRID.headlines
        ],
        [f"{RESULTS}/figures/score_histograms_{name}.pdf" for name in GRID.headlines],
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
