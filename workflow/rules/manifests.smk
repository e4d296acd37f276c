# Reads:  the images, wherever they are from.
# Writes: the manifests of each category, and the index of the pretraining images; of other penalty images, too, if Table 7
# asks for them.
# Later rules depend on the manifests and the index, not on thousands of files. A category has a manifest for each part:
# training, test, ground truth. The content of images of your own is a param, as in data.smk.

from collections import namedtuple
from pathlib import Path

from dfsc.data import changes

MANIFEST = f"{RESULTS}/manifests/{{category}}/{{part}}.csv"
TRAINING, TEST, GROUND_TRUTH = MANIFESTS = [MANIFEST.replace("{part}", part) for part in changes.PARTS]
INDEX = f"{RESULTS}/pretraining.index"
# Penalty images: those that the teacher is pretrained on, and others for Table 7.
OTHER = (config.get("protocols") or {}).get("other_penalty")
Penalty = namedtuple("Penalty", "images folder index first")
PENALTY = Penalty(PRETRAINING_SOURCE, PRETRAINING_FOLDER, INDEX, None)
OTHER_PENALTY = (
    Penalty(OTHER["images"], OTHER["folder"], f"{RESULTS}/penalty.index", OTHER.get("first")) if OTHER else None
)


def penalty_of(method):
    """The penalty images of a method that is trained here."""
    return OTHER_PENALTY if "penalty_images" in (GRID.method(method).protocol or {}) else PENALTY


def content_of(category, part):
    """What tells that a part of a category changed: nothing, for what is fetched or generated."""
    if SOURCE in ARRANGED:
        return arranged_content(category)[part]
    return content(category)[part] if SOURCE == "folder" else ""


rule manifest:
    input:
        # Not as `ancient`: Snakemake looks at no param of a job behind one that runs, and would leave the lists as they are.
        marker_of(SOURCE),
        # Masks are listed by their images.
        lambda wildcards: marker_of(SOURCE, wildcards.category, "test") if wildcards.part == "ground_truth" else [],
    output:
        MANIFEST,
    log:
        f"{LOGS}/manifests/{{category}}/{{part}}.log",
    wildcard_constraints:
        part="|".join(changes.PARTS),
    priority: 100
    threads: 4
    params:
        content=lambda wildcards: content_of(wildcards.category, wildcards.part),
        published="--published config/mvtec_loco.csv" if SOURCE == "mvtec_loco" else "",
        large_masks=lambda wildcards: LARGE_MASKS if wildcards.part == "ground_truth" else "",
        code=code_digest("manifest"),
    message:
        "check every file of {wildcards.category} that is read for {wildcards.part}"
    shell:
        "dfsc manifest --dataset {DATASET:q} --category {wildcards.category} --part {wildcards.part} "
        "--output {output} {params.published} {params.large_masks} --workers {threads} > {log} 2>&1"


rule index_pretraining:
    input:
        marker_of(PRETRAINING_SOURCE, PRETRAINING),
    output:
        INDEX,
    log:
        f"{LOGS}/index_pretraining.log",
    priority: 100
    params:
        content=lambda wildcards: pretraining_content(PENALTY),
        source=PRETRAINING_SOURCE,
        code=code_digest("index"),
    message:
        "list the pretraining images in {PRETRAINING_FOLDER}"
    shell:
        "dfsc index --folder {PRETRAINING_FOLDER:q} --source {params.source} --output {output} > {log} 2>&1"


if OTHER_PENALTY:

    rule index_penalty:
        input:
            marker_of(OTHER_PENALTY.images, PRETRAINING),
        output:
            OTHER_PENALTY.index,
        log:
            f"{LOGS}/index_penalty.log",
        priority: 100
        localrule: True
        params:
            content=lambda wildcards: pretraining_content(OTHER_PENALTY),
            # As a function of `output`, this param is not tracked: folders may move.
            folder=lambda wildcards, output: OTHER_PENALTY.folder,
            source=OTHER_PENALTY.images,
            first=f"--first {OTHER_PENALTY.first}" if OTHER_PENALTY.first else "",
            code=code_digest("index"),
        message:
            "list the penalty images in {params.folder}"
        shell:
            "dfsc index --folder {params.folder:q} --source {params.source} {params.first} --output {output} "
            "> {log} 2>&1"
