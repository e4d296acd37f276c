# Reads:  of a method from outside, its command and the images, or maps made elsewhere; of a control, the ground truth.
# Writes: image scores and anomaly maps as `score` writes them, and method.json, which says what made them.
# From there on a cell from outside is evaluated, tracked and shown as one that is trained here.

from dfsc.outside.command import folder_digest
from dfsc.settings.outside import OutsideMethod

METHODS = config.get("methods", {})


def made_outside():
    """What each rule here writes into a cell's folder."""
    return made_by("score") | made_by("run_method")


def of_method(key):
    """A function of a job's wildcards: this key of its method's section, or what it is by default."""
    return lambda wildcards: METHODS[wildcards.method].get(key, getattr(OutsideMethod, key))


def code_of(wildcards):
    """The digest of a method's folder."""
    with stopping_in_one_line():
        return folder_digest(Path(METHODS[wildcards.method]["command"]))


def maps_of(wildcards):
    """Where the maps of a cell lie that were made elsewhere."""
    return METHODS[wildcards.method]["maps"].format(category=wildcards.category, seed=wildcards.seed)


def content_of_maps(wildcards):
    """A digest of them; files that are only touched or moved leave it as it is."""
    seen = Path(RESULTS, f"seen/{wildcards.category}-{wildcards.method}-{wildcards.seed}.json")
    with stopping_in_one_line():
        return changes.category_content(Path(maps_of(wildcards)), seen, keep=not workflow.dryrun)["test"]


rule run_method:
    input:
        training=TRAINING,
        test=TEST,
    output:
        **made_outside(),
    log:
        f"{CELL_LOG}/run_method.log",
    benchmark:
        f"{CELL_LOG}/run_method.benchmark.tsv"
    wildcard_constraints:
        method=any_of(method.name for method in GRID.methods if method.origin == "command"),
    resources:
        gpu=of_method("gpu"),
        mem_mb=of_method("mem_mb"),
        runtime=of_method("runtime"),
    params:
        command=of_method("command"),
        method_code=code_of,
        code=code_digest("method run"),
    message:
        "run {wildcards.method} on {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc method run --command {params.command:q} --dataset {DATASET:q} --category {wildcards.category} "
        "--manifest {input.training} --manifest {input.test} --seed {wildcards.seed} --minutes {resources.runtime} --gpus {resources.gpu} --scores {output.scores} "
        "--maps {output.maps} --record {output.method_record} " + SHOWN_AND_KEPT


rule import_maps:
    input:
        manifest=TEST,
    output:
        **made_outside(),
    log:
        f"{CELL_LOG}/run_method.log",
    wildcard_constraints:
        method=any_of(method.name for method in GRID.methods if method.origin == "maps"),
    params:
        # As a function of `output`, this param is not tracked: maps that are moved need not be read again.
        folder=lambda wildcards, output: maps_of(wildcards),
        content=content_of_maps,
        code=code_digest("method import"),
    message:
        "take over the maps of {wildcards.method} on {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc method import --folder {params.folder:q} --manifest {input.manifest} --seed {wildcards.seed} "
        "--scores {output.scores} --maps {output.maps} --record {output.method_record} > {log} 2>&1"


rule make_control:
    input:
        manifest=TEST,
        ground_truth=GROUND_TRUTH,
    output:
        **made_outside(),
    log:
        f"{CELL_LOG}/run_method.log",
    wildcard_constraints:
        method=any_of(method.name for method in GRID.methods if method.origin == "control"),
    params:
        code=code_digest("method control"),
    message:
        "make the control {wildcards.method} of {wildcards.category}, seed {wildcards.seed}"
    shell:
        "dfsc method control {wildcards.method} --dataset {DATASET:q} --category {wildcards.category} "
        "--manifest {input.manifest} --seed {wildcards.seed} --scores {output.scores} --maps {output.maps} "
        "--record {output.method_record} > {log} 2>&1"
