# Reads:  what DVC fetches (config/sources.yaml), a folder of yours, or a seed.
# Writes: images below dataset.folder, one manifest per category, and the index of the pretraining images.
# Later rules depend on the manifests and the index, not on thousands of files.

GENERATED = config["dataset"]["source"] == "generated"
# A mask of more than half of its image may be inverted; those of LOCO and of the generated images are known to be right.
LARGE_MASKS = (
    "--large-masks"
    if config["dataset"].get("large_masks") or config["dataset"]["source"] in ("mvtec_loco", "generated")
    else ""
)
# Sources that DVC fetches, by the key that asks for them; anything else is a folder of the user's.
FETCHED = ["mvtec_loco", "imagenette", "wide_resnet101_2"]


def marker_of(source):
    """What says that a source is in place: nothing, for a folder of the user's own."""
    if source == "generated":
        return f"{RESULTS}/synthesized.json"
    if source == "mvtec_ad":
        return f"{DATASET}/{{category}}/defects_config.json"
    return f"{RESULTS}/fetched/{source}" if source in FETCHED else []


rule fetch:
    output:
        marker=touch(f"{RESULTS}/fetched/{{source}}"),
    log:
        f"{LOGS}/fetch/{{source}}.log",
    wildcard_constraints:
        source="|".join(FETCHED),
    message:
        "fetch {wildcards.source}: download, verify and unpack through DVC"
    shell:
        # DVC's own lock does not cover a stage that is at work; flock does. --pull restores from the cache first.
        "flock dvc.yaml dvc --wait-for-lock repro --single-item --pull --no-run-cache fetch@{wildcards.source} "
        "2>&1 | tee {log}"


if GENERATED:

    rule synthesize:
        output:
            f"{RESULTS}/synthesized.json",
        log:
            f"{LOGS}/synthesize.log",
        params:
            folder=DATASET,
            settings=as_json(config["dataset"]["generated"]),
            code=code_digest("synthetic"),
        message:
            "synthesize the generated data set in {params.folder}"
        shell:
            "dfsc synthesize --output {params.folder:q} --settings {params.settings:q} > {log} 2>&1 && "
            "printf '%s\n' {params.settings:q} > {output}"


if config["dataset"]["source"] == "mvtec_ad":

    rule arrange:
        output:
            f"{DATASET}/{{category}}/defects_config.json",
        log:
            f"{LOGS}/arrange/{{category}}.log",
        params:
            original=f"{config['dataset'].get('original')}/{{category}}",
            folder=f"{DATASET}/{{category}}",
            threshold=(
                f"--mask-threshold {config['dataset']['mask_threshold']}"
                if config["dataset"].get("mask_threshold")
                else ""
            ),
            large_masks=LARGE_MASKS,
            code=code_digest("mvtec_ad"),
        message:
            "arrange {wildcards.category} in LOCO's layout"
        shell:
            "dfsc arrange --folder {params.original:q} --output {params.folder:q} {params.threshold} "
            "{params.large_masks} > {log} 2>&1"


rule manifest:
    input:
        marker_of(config["dataset"]["source"]),
    output:
        f"{RESULTS}/manifests/{{category}}.csv",
    log:
        f"{LOGS}/manifests/{{category}}.log",
    threads: 4
    params:
        folder=DATASET,
        published=("--published config/mvtec_loco.csv" if config["dataset"]["source"] == "mvtec_loco" else ""),
        large_masks=LARGE_MASKS,
        code=code_digest("manifest"),
    message:
        "check every file of {wildcards.category}"
    shell:
        "dfsc manifest --dataset {params.folder:q} --category {wildcards.category} --output {output} "
        "{params.published} {params.large_masks} --workers {threads} > {log} 2>&1"


rule index_pretraining:
    input:
        marker_of(config["pretraining"]["images"]),
    output:
        f"{RESULTS}/pretraining.index",
    log:
        f"{LOGS}/index_pretraining.log",
    params:
        folder=config["pretraining"]["folder"],
        source=config["pretraining"]["images"],
        code=code_digest("pretraining_images"),
    message:
        "list the pretraining images in {params.folder}"
    shell:
        "dfsc index --folder {params.folder:q} --source {params.source} --output {output} > {log} 2>&1"
