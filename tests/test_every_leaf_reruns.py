"""Every leaf of the configuration, changed alone, reruns the jobs that depend on it, and no other."""

from typing import Any

import pytest

from dfsc.settings.configuration import Configuration
from dfsc.settings.reading import check, read_configuration
from support.checkout import CHECKOUT, Checkout
from support.leaves import another, leaves, value_at, with_value
from support.plans import Job, planning

METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
PER_MODEL = ("train", "score", "evaluate", "draw_model_heatmaps", "track")
DRAWN = ("draw_heatmaps", "draw_novelty", "draw_novelty_over_training", "draw_what_changed", "draw_auroc_over_quantile",
         "draw_histograms")  # fmt: skip
# What reads what a rule makes. A job is named by its rule; one of a model by its method, too.
READ_BY = {
    "synthesize": ["manifest", "index_pretraining"],
    "fetch": ["pretrain_teacher"],
    "manifest": [*PER_MODEL, "draw_heatmaps", "draw_novelty", "draw_what_changed", "page"],
    "index_pretraining": ["pretrain_teacher", "train"],
    "pretrain_teacher": ["train", "track_teacher"],
    "train": ["score", "track", "draw_novelty", "draw_novelty_over_training"],
    "score": ["evaluate", "track", "draw_model_heatmaps", "draw_heatmaps", "draw_what_changed", "page"],
    "evaluate": ["track", "page"],
    "draw_model_heatmaps": ["track"],
    "track": ["tables", "pair", "page"],
    "measure_speed": ["tables"],
    "tables": ["draw_auroc_over_quantile", "draw_histograms", "draw_what_changed", "page"],
    **{name: ["page"] for name in DRAWN},
}
OF_DFSC = ["train dfsc-tiny-q0.9"]
SHOWING_SOURCE = ["draw_heatmaps", "draw_novelty", "draw_novelty_over_training", "draw_model_heatmaps"]
OF_TABLES = {"pair", "tables", "draw_auroc_over_quantile", "draw_histograms", "draw_what_changed", "page"}
# The jobs that a leaf, or any leaf of a group, is passed to.
PASSED_TO = {
    "benchmark": ["synthesize", "measure_speed"],
    "dataset.generated.": ["synthesize"],
    "pretraining.images": ["index_pretraining", *SHOWING_SOURCE],
    "teacher.": ["pretrain_teacher"],
    "training.image_size": ["pretrain_teacher", "train", "measure_speed"],
    "training.": ["train"],
    "dfsc.margin": OF_DFSC,
    "dfsc.novel_weight": OF_DFSC,
    "dfsc.split_unit": OF_DFSC,
    "dfsc.distance": OF_DFSC,
    "dfsc.autoencoder_loss_over": OF_DFSC,
    "dfsc.novel_loss_over": OF_DFSC,
    "inference.": ["score", "measure_speed"],
    "tracking.": ["track", "track_teacher", "pair", "tables"],
}
# Leaves that need another one beside them: what is laid over, and what they are passed to.
TOGETHER: dict[str, tuple[dict[str, Any], list[str]]] = {
    "dataset.source": (
        {"dataset": {"source": "folder"}, "pretraining": {"images": "other"}},
        ["manifest", "index_pretraining", *SHOWING_SOURCE],
    ),
    "dataset.folder": (
        {"dataset": {"folder": "elsewhere"}, "pretraining": {"folder": "elsewhere/pretraining"}},
        [],  # equal images, as far as a marker tells
    ),
    "pretraining.folder": (
        {"pretraining": {"images": "other", "folder": "photos"}},
        ["index_pretraining", *SHOWING_SOURCE],
    ),
    "teacher.backbone": (
        {"teacher": {"backbone": "wide_resnet101_2"}},  # whose weights come with no package
        ["fetch", "pretrain_teacher"],
    ),
}
# Leaves that ask for more cells: what is laid over, the wildcards of which new jobs have one, and what else reruns.
CELLS: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "training.seeds": ({"training": {"seeds": [0, 1]}}, {"1"}, OF_TABLES),
    "training.sizes": (
        {"training": {"sizes": ["tiny", "M"]}}, {"M", "efficientad-M", "dfsc-M-q0.9"}, OF_TABLES,
    ),
    "dataset.categories": (
        {"dataset": {"categories": ["coin_tray", "picture_wall"]}}, {"picture_wall"}, OF_TABLES,
    ),
    "dfsc.quantiles": (
        {"dfsc": {"quantiles": [0.9, 0.99]}}, {"dfsc-tiny-q0.99"},
        {*OF_TABLES, "draw_novelty", "draw_novelty_over_training"},
    ),
    "dfsc.headline_quantile": (
        {"dfsc": {"quantiles": [0.9, 0.99], "headline_quantile": 0.99}}, {"dfsc-tiny-q0.99"},
        OF_TABLES - {"draw_what_changed"},
    ),
    "dfsc.ablations": (
        {"dfsc": {"ablations": [{"margin": 3.0}]}}, {"dfsc-tiny-q0.9-margin_3.0"}, OF_TABLES,
    ),
    "methods": (
        {"methods": {"theirs": {"label": "Theirs", "maps": "maps"}}}, {"theirs"}, OF_TABLES,
    ),
    "controls": ({"controls": ["random"]}, {"random"}, OF_TABLES),
    **{
        f"protocols.{key}": ({"protocols": {key: value}}, {f"efficientad-tiny-{name}"}, {*OF_TABLES, *more})
        for key, value, name, more in (
            ("no_penalty", True, "no_penalty", ()),
            ("other_penalty", {"images": "generated", "folder": "data/smallest/pretraining", "first": 2},
             "other_penalty", ["index_penalty"]),
            ("checkpoints", 3, "checkpoints_3", ()),
            ("calibration_images", 1, "calibration_images_1", ()),
            ("paddings", ["minimum"], "padding_minimum", ()),
        )
    },
}  # fmt: skip
REJUDGED = {"protocols.calibration_images", "protocols.paddings"}  # of the baseline's models
# Of other sources of images than the generated: their commands are in test_rules.py.
OF_OTHER_SOURCES = {
    "dataset.original", "dataset.images", "dataset.split.validation", "dataset.split.test", "dataset.split.seed",
    "dataset.mask_threshold", "dataset.large_masks", "teacher.published",
}  # fmt: skip
ALL = dict(leaves(Configuration))
ALONE = [name for name in ALL if name not in {*TOGETHER, *OF_OTHER_SOURCES} and not name.startswith(tuple(CELLS))]


def named(rule: str) -> set[str]:
    """The jobs of a rule, or the one job of a method."""
    return {f"{rule} {method}" for method in METHODS} if rule in PER_MODEL else {rule}


def rerun_by(passed_to: list[str]) -> set[str]:
    """These jobs, and all that read what they make: of the same method, where both have one."""
    found: set[str] = set()
    waiting = [name for rule in passed_to for name in named(rule)]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            rule, _, method = name.partition(" ")
            readers = {reader for follower in READ_BY.get(rule, []) for reader in named(follower)}
            waiting += [reader for reader in readers if not method or reader.partition(" ")[2] in ("", method)]
    return found


def names_of(jobs: list[Job]) -> set[str]:
    """What a plan holds."""
    return {" ".join(filter(None, (job.rule, job.wildcards.get("method")))) for job in jobs if job.rule != "all"}


@pytest.fixture(scope="module")
def planned(checkout: Checkout) -> dict[str, list[Job]]:
    """What would run after each change, in a checkout where all has run."""
    base = read_configuration([CHECKOUT / "tests/smallest.yaml"])
    overlays = {name: overlay for name, (overlay, _) in TOGETHER.items()}
    overlays |= {name: overlay for name, (overlay, *_) in CELLS.items()}
    for name in ALONE:
        overlays[name] = with_value({}, name, value_at(another(base, name, ALL[name], check), name))
    with planning(checkout) as planner:
        return planner.each(["tests/smallest.yaml"], {"": {}, **overlays})


def test_nothing_changed_reruns_nothing(planned: dict[str, list[Job]]) -> None:
    assert planned[""] == []


@pytest.mark.parametrize("name", ALONE)
def test_a_leaf_reruns_what_depends_on_it(planned: dict[str, list[Job]], name: str) -> None:
    passed_to = next((jobs for place, jobs in PASSED_TO.items() if name.startswith(place)), None)
    assert passed_to, f"{name} is new: say in PASSED_TO which jobs it is passed to"
    assert names_of(planned[name]) == rerun_by(passed_to)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_leaf_that_needs_another_one(planned: dict[str, list[Job]], name: str) -> None:
    assert names_of(planned[name]) == rerun_by(TOGETHER[name][1])


@pytest.mark.parametrize("name", CELLS)
def test_a_leaf_that_asks_for_more_cells(planned: dict[str, list[Job]], name: str) -> None:
    _, values, others = CELLS[name]
    new = [job for job in planned[name] if values & set(job.wildcards.values())]
    rest = {job.rule for job in planned[name] if job not in new} - {"all"}
    assert rest == others
    makers = {"methods": {"import_maps"}, "controls": {"make_control"}}.get(name, {"train", "score"})
    makers = {"score"} if name in REJUDGED else makers
    expected = {*makers, "evaluate", "draw_model_heatmaps", "track"}
    assert expected <= {job.rule for job in new}
    assert name not in REJUDGED or "train" not in {job.rule for job in new}
