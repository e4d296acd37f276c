# What of the images is other than it was: changed, of one's own; or gone, of what is fetched, generated or arranged.
# Nothing is read of what is fetched or generated: config/sources.yaml and the configuration say what it is.

import functools
import subprocess
import tempfile

from dfsc.files import digest_of
from dfsc.settings.building import build


@functools.cache
def content(category):
    """The content of a category of the user's own, by part."""
    listed = all(Path(manifest.format(category=category)).exists() for manifest in MANIFESTS)
    if workflow.dryrun and not listed:  # it does not matter yet, and reading takes time
        return dict.fromkeys(changes.PARTS)
    with stopping_in_one_line():
        return changes.category_content(Path(DATASET, category), seen(category), keep=not workflow.dryrun)


@functools.cache
def arranged_content(category):
    """The content of a category that is arranged, by part: of what it is made from, and how."""
    # Here, and not in each job's Snakemake, for which they take a third of a second.
    from dfsc.data import layouts, own_images
    from dfsc.settings.own_images import OwnImages, SplitSettings

    if workflow.dryrun and not any(Path(marker_of(SOURCE, category, part)).exists() for part in changes.PARTS):
        return dict.fromkeys(changes.PARTS)
    belonging = {}
    with stopping_in_one_line():
        if SOURCE == "images":
            described = build(OwnImages, config["dataset"]["images"][category])
            split = build(SplitSettings, config["dataset"]["split"])
            for name, folder in described.folders.items():
                if not Path(folder).is_dir() and not seen(category).exists():  # later, one that is gone changes nothing
                    raise UserError(f"{folder}: no such folder; correct dataset.images.{category}.{name}")
            parts = own_images.made_from(described)
            belonging["belongs"] = functools.partial(own_images.belongs, described, split)
        else:
            parts = layouts.made_from(SOURCE, Path(ORIGINAL, category))
        found = changes.arranged_content(parts, seen(category), keep=not workflow.dryrun, **belonging)
    how = [config["dataset"]["split"], config["dataset"].get("mask_threshold"), provenance.code_digest("arrange")]
    # Masks and their number change no training: only the splits of the good images do.
    return {part: digest_of([digest, how if part == "ground_truth" else how[::2]]) for part, digest in found.items()}


def seen(category):
    """Where it is kept what was found last time."""
    return Path(RESULTS, f"seen/{category}.json")


@functools.cache
def pretraining_content(penalty):
    """The content of pretraining or penalty images of the user's own; nothing for what is fetched or generated."""
    index = Path(penalty.index)
    if marker_of(penalty.images) or (workflow.dryrun and not index.exists()):
        return ""
    with stopping_in_one_line():
        seen = Path(RESULTS, f"seen/{index.stem}.json")
        return changes.pretraining_content(Path(penalty.folder), seen, keep=not workflow.dryrun)


def images_in_use():
    """(the rules that read them, their folder or file, their marker: an empty one for images of one's own)."""
    readers = {"manifest", "train", "score", "evaluate", "draw_heatmaps", "draw_novelty", "draw_model_heatmaps"}
    readers |= {"run_method", "make_control", "draw_what_changed", "page"}
    for category in CATEGORIES:
        place = Path(DATASET) if SOURCE in FETCHED else Path(DATASET, category)
        for part in changes.PARTS if SOURCE in ARRANGED else [""]:
            yield readers, place, marker_of(SOURCE, category, part) or ""
    yield {"index_pretraining", "pretrain_teacher", "train"}, Path(PRETRAINING_FOLDER), marker_of(
        PRETRAINING_SOURCE, PRETRAINING
    ) or ""
    if OTHER_PENALTY:
        yield {"index_penalty", "train"}, Path(OTHER_PENALTY.folder), marker_of(OTHER_PENALTY.images, PRETRAINING) or ""
    if FETCHES_BACKBONE:
        yield {"pretrain_teacher"}, BACKBONE_WEIGHTS, marker_of(BACKBONE)
    for size, name in FETCHED_TEACHERS.items():
        yield {"import_teacher"}, PUBLISHED_FILES[size], marker_of(name)


def bring_back():
    """Make images that were deleted since anew, by their own rule, where a job is about to read them.

    Their marker is still there. Snakemake would take a missing one for a reason to train every model again.
    """
    if not workflow.is_main_process or workflow.touch:
        return
    jobs = list(workflow.dag.needrun_jobs())
    names, made = {job.rule.name for job in jobs}, {str(file) for job in jobs for file in job.output}
    gone = {}
    for readers, path, marker in images_in_use():
        if path.exists() or not readers & names or marker in made:
            continue
        if not marker:
            raise UserError(f"{path}: is not there, and is to be read; the configuration must say where it lies")
        gone[marker] = path
    if gone:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(as_json(config))
            file.flush()
            command = ["snakemake", "--cores", "1", "--executor", "local", "--nolock", "--no-hooks"]
            command += ["--configfile", file.name, "--forcerun", *gone, "--", *gone]
            if subprocess.run(command).returncode != 0:
                raise RunFailed(f"{', '.join(map(str, gone.values()))}: gone, and not brought back; see above")
