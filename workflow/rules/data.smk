# Reads:  what DVC fetches (config/sources.yaml), folders of yours, or a seed.
# Writes: images below dataset.folder. What is arranged in LOCO's layout is so in three parts, since training, scoring and
# judging read different images: what changed reruns what reads it. The content of images of your own is a param, so that
# a change is noticed at the next start, and files that are only touched or moved rerun nothing.
# Commands name folders as globals, {DATASET:q}: Snakemake runs a rule again when a param or the text of its command
# changes, and this text holds the global's name, not its value.
# Priorities: what is wrong with the images is said before the first training.

from pathlib import Path

from dfsc.data import changes
from dfsc.data.sources import place_of, read_source
from dfsc.planning.fetched import IMAGES as FETCHED_IMAGES
from dfsc.planning.fetched import SOURCES, fetched_teachers, fetches_backbone
from dfsc.settings.agreement import ARRANGED
from dfsc.settings.synthetic import PRETRAINING

SOURCE = config["dataset"]["source"]
ORIGINAL = config["dataset"].get("original")  # of a public data set in a layout of its own
PRETRAINING_SOURCE = config["pretraining"]["images"]
PRETRAINING_FOLDER = config["pretraining"]["folder"]
# A mask of more than half of its image may be inverted; those of LOCO and of the generated images are known to be right.
LARGE_ALLOWED = config["dataset"].get("large_masks") or SOURCE in ("mvtec_loco", "generated")
LARGE_MASKS = "--large-masks" if LARGE_ALLOWED else ""
MASK_THRESHOLD = config["dataset"].get("mask_threshold")
MASKS_ARE_READ = f"--mask-threshold {MASK_THRESHOLD} {LARGE_MASKS}" if MASK_THRESHOLD else LARGE_MASKS
# The backbone's ImageNet weights, unless they come with a package: an entry of the backbone's name in SOURCES.
BACKBONE = config["teacher"]["backbone"]
FETCHES_BACKBONE = fetches_backbone(config)
# Published teachers, by size: each is a file of the user's, or to be fetched.
PUBLISHED = config["teacher"]["published"]
FETCHED_TEACHERS = fetched_teachers(config)
# Sources that DVC fetches, by the key that asks for them; anything else is a folder of the user's.
FETCHED = [*FETCHED_IMAGES, *([BACKBONE] if FETCHES_BACKBONE else []), *FETCHED_TEACHERS.values()]


def marker_of(source, category="{category}", part="{part}"):
    """What says that a source is in place, of a category and a part if it comes so: nothing, for a folder of one's own."""
    if source == "generated":
        return f"{RESULTS}/synthesized/{category}.json"
    if source in ARRANGED:
        return f"{RESULTS}/arranged/{category}/{part}"
    return f"{RESULTS}/fetched/{source}" if source in FETCHED else []


def digest_of_source(wildcards):
    """The SHA-256 that config/sources.yaml gives."""
    with stopping_in_one_line():
        return read_source(wildcards.source, SOURCES).sha256


rule fetch:
    output:
        marker=touch(f"{RESULTS}/fetched/{{source}}"),
    log:
        f"{LOGS}/fetch/{{source}}.log",
    wildcard_constraints:
        source="|".join(FETCHED),
    priority: 100
    params:
        sha256=digest_of_source,
        # As a function of `output`, this param is not tracked: a moved folder need not be fetched again.
        place=lambda wildcards, output: ["--output", DATASET] if wildcards.source == SOURCE else [],
    message:
        "fetch {wildcards.source}: take over what is there, or download, verify and unpack through DVC"
    shell:
        "dfsc fetch {wildcards.source} {params.place:q} --dvc 2>&1 | tee {log}"


if SOURCE == "generated":

    rule synthesize:
        output:
            marker_of("generated"),
        log:
            f"{LOGS}/synthesize/{{category}}.log",
        wildcard_constraints:
            category="|".join([*CATEGORIES, PRETRAINING]),
        priority: 100
        params:
            settings=as_json(config["dataset"]["generated"]),
            code=code_digest("synthesize"),
        message:
            "draw {wildcards.category} of the generated data set"
        shell:
            "dfsc synthesize --output {DATASET:q} --only {wildcards.category} --settings {params.settings:q} "
            "> {log} 2>&1 && "
            "printf '%s\n' {params.settings:q} > {output}"


def described(category):
    """Options that say where the images of a category are, and what each is."""
    if SOURCE == "images":
        return ["--images", as_json(config["dataset"]["images"][category])]
    return ["--layout", SOURCE, "--folder", f"{ORIGINAL}/{category}"]


if SOURCE in ARRANGED:

    rule arrange:
        output:
            touch(marker_of(SOURCE)),
        log:
            f"{LOGS}/arrange/{{category}}/{{part}}.log",
        wildcard_constraints:
            part="|".join(changes.PARTS),
        priority: 100
        params:
            content=lambda wildcards: arranged_content(wildcards.category)[wildcards.part],
            # As a function of `output`, this param is not tracked: folders may move.
            described=lambda wildcards, output: described(wildcards.category),
            split=as_json(config["dataset"]["split"]),
            masks=lambda wildcards: MASKS_ARE_READ if wildcards.part == "ground_truth" else "",
            code=code_digest("arrange"),
        message:
            "arrange what is read of {wildcards.category} for {wildcards.part} in LOCO's layout"
        shell:
            "dfsc arrange {params.described:q} --split {params.split:q} --output {DATASET:q}/{wildcards.category} "
            "--part {wildcards.part} {params.masks} > {log} 2>&1"
