# Reads:  tables, figures, scores, small maps, and the images of the data set.
# Writes: the page, which is looked at without anything else.


def shown_of_cells(wildcards):
    """What the page shows of every cell."""
    return [FILES[name].format(**vars(cell)) for cell in GRID.cells() for name in ("scores", "maps", "curves_csv")]


rule page:
    input:
        receipts,
        figures(),
        rules.tables.output,
        # A function: of a list, Snakemake would compare each file with all others.
        cells=shown_of_cells,
        ground_truth=expand(GROUND_TRUTH, category=CATEGORIES),
        reference=REFERENCE,
    output:
        f"{RESULTS}/page/index.html",
    log:
        f"{LOGS}/page.log",
    threads: 4
    params:
        folder=f"{RESULTS}/page",
        reference=reference_of,
        drawn_with=drawn_with(),
        code=code_digest("page"),
    message:
        "write the page: {output}"
    shell:
        "dfsc page --results {RESULTS} --dataset {DATASET:q} --output {params.folder} {params.reference} "
        "--workers {threads} > {log} 2>&1"
