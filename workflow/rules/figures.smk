# Reads:  small maps, and the images of the data set.
# Writes: figures that show images (PDF, PNG): chosen by name, the worst, what a method changes; and those of each model.


rule draw_heatmaps:
    input:
        maps=of_pair("maps"),
        scores=lambda wildcards: of_pair("scores")(wildcards)[-1],  # of the declared method
        ground_truth=GROUND_TRUTH,
    output:
        f"{RESULTS}/figures/{{choice}}_{{declared}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/{{choice}}_{{declared}}_{{category}}.png",
            caption="../report/heatmaps.rst",
            category="Figures",
            labels={"figure": "{choice}", "method": "{declared}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{category}}/{{declared}}/draw_{{choice}}.log",
    wildcard_constraints:
        choice="heatmaps|worst",
    params:
        labels=labels,
        choice=lambda wildcards, input: f"--worst {input.scores}" if wildcards.choice == "worst" else "",
        stem=f"{RESULTS}/figures/{{choice}}_{{declared}}_{{category}}",
        source=config["pretraining"]["images"],
        code=code_digest("heatmaps"),
    message:
        "draw {wildcards.choice} of {wildcards.category}, {wildcards.declared}"
    shell:
        "dfsc heatmaps {input.maps} {params.labels:q} --dataset {DATASET:q} --category {wildcards.category} "
        "{params.choice} --source {params.source} --output {params.stem} > {log} 2>&1"


rule draw_what_changed:
    input:
        maps=of_pair("maps"),
        tables=[rules.tables.output[name] for name in ("runs", "comparison", "scores", "grid")],
        ground_truth=GROUND_TRUTH,
    output:
        f"{RESULTS}/figures/what_changed_{{declared}}_{{category}}.pdf",
        report(
            f"{RESULTS}/figures/what_changed_{{declared}}_{{category}}.png",
            caption="../report/what_changed.rst",
            category="Figures",
            labels={"figure": "what changed", "method": "{declared}", "category": "{category}"},
        ),
    log:
        f"{LOGS}/{{category}}/{{declared}}/draw_what_changed.log",
    params:
        tables=f"{RESULTS}/tables",
        stem=f"{RESULTS}/figures/what_changed_{{declared}}_{{category}}",
        code=code_digest("what-changed"),
    message:
        "draw what {wildcards.declared} finds and its baseline misses, {wildcards.category}"
    shell:
        "dfsc what-changed {input.maps} --tables {params.tables} --dataset {DATASET:q} --category {wildcards.category} "
        "--method {wildcards.declared} --output {params.stem} > {log} 2>&1"


rule draw_model_heatmaps:
    input:
        maps=FILES["maps"],
        ground_truth=GROUND_TRUTH,
    output:
        **made_by("draw_model_heatmaps"),
    log:
        f"{CELL_LOG}/draw_model_heatmaps.log",
    params:
        stem=lambda wildcards, output: output.heatmaps_pdf.removesuffix(".pdf"),
        label=lambda wildcards: GRID.method(wildcards.method).label,
        # What a method from outside was pretrained on is not known.
        source=lambda wildcards: (
            [f"--source={penalty_of(wildcards.method).images}"] if wildcards.method in OF_MODELS else []
        ),
        code=code_digest("heatmaps"),
    shell:
        "dfsc heatmaps {input.maps} --label {params.label:q} --dataset {DATASET:q} --category {wildcards.category} "
        "{params.source} --output {params.stem} > {log} 2>&1"
