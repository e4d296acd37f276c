"""Every rule passes on what it has: the command of each, for one cell of four grids, against what it should say."""

import json
import re
import shlex
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from dfsc.data.changes import category_content
from dfsc.data.sources import read_source
from dfsc.outside.command import folder_digest
from dfsc.report.page import drawn_with
from support.checkout import CHECKOUT, Checkout
from support.outside_methods import write_method
from support.plans import Job, planning

TEACHER = {
    "backbone": "resnet18", "backbone_weights": "random", "steps": 5, "batch_size": 3, "learning_rate": 2e-4,
    "weight_decay": 3e-5, "grey_probability": 0.15, "normalisation_images": 17, "precision": "bfloat16", "seed": 6,
}  # fmt: skip
FROM_IMAGENET = {"backbone": "wide_resnet101_2", "backbone_weights": "imagenet"}
FROM_PACKAGE = {"backbone": "tf_efficientnet_lite0", "backbone_weights": "imagenet"}
TRAINING = {
    "image_size": 96, "steps": 11, "batch_size": 2, "learning_rate": 5e-4, "weight_decay": 7e-5,
    "learning_rate_drop_after": 0.8, "learning_rate_drop_factor": 0.3, "hard_quantile": 0.95, "jitter": 0.25,
    "penalty_grey_probability": 0.35, "precision": "bfloat16", "compiled": False,
}  # fmt: skip
READING = {"margin": 1.5, "margin_unit": "threshold", "novel_weight": 0.7, "split_unit": "position", "distance": "root",
           "autoencoder_loss_over": "all", "novel_loss_over": "all"}  # fmt: skip
GRID: dict[str, Any] = {
    "teacher": {**TEACHER, "published": {"S": "given/small.pth"}},
    "training": {**TRAINING, "sizes": ["S", "tiny"], "seeds": [3, 7]},
    "dfsc": {**READING, "quantiles": [0.95, 0.9], "headline_quantile": 0.9, "ablations": [{"margin": 2.0}]},
    "inference": {"padding": "replicate", "precision": "float16"},
    "tracking": {"uri": "http://127.0.0.1:5000"},
    "pretraining": {"images": "other", "folder": "my photos"},
}
SPLIT = {"validation": 0.2, "test": 0.3, "seed": 4}
PHOTOS = {"good": ["it's ok", "ok"], "test_good": [], "bad": {"bent": {"images": "bent", "type": "logical"}}}
COUNTS = {"seed": 1, "train": 4, "validation": 2, "test_good": 3, "logical": 3, "structural": 3, "pretraining": 6}
OUTSIDE: dict[str, Any] = {
    "methods": {
        "mine": {"label": "Mine", "command": "methods/my method/run", "gpu": 2, "runtime": 7},
        "theirs": {"label": "Theirs", "maps": "their maps/{category}/{seed}"},
    },
    "controls": ["oracle"],
}
PROTOCOLS: dict[str, Any] = {
    "no_penalty": True, "other_penalty": {"images": "other", "folder": "few photos", "first": 5},
    "checkpoints": 3, "calibration_images": 4, "paddings": ["zero"],
}  # fmt: skip
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "own": {**GRID, "dataset": {"source": "folder", "folder": "my images", "categories": ["bolts", "01"],
                                "large_masks": True}},
    "ad": {**GRID, "dataset": {"source": "visa", "original": "their images", "folder": "arranged",
                               "categories": ["bolts"], "split": SPLIT, "mask_threshold": 128}},
    "photos": {**GRID, "dataset": {"source": "images", "images": {"bolts": PHOTOS}, "folder": "arranged",
                                   "categories": ["bolts"], "split": SPLIT, "large_masks": True}},
    "drawn": {**GRID, "dataset": {"source": "generated", "folder": "data/drawn", "categories": ["coin_tray"],
                                  "generated": COUNTS},
              "pretraining": {"images": "generated", "folder": "data/drawn/pretraining"},
              "teacher": {**TEACHER, **FROM_PACKAGE}, **OUTSIDE},
    "loco": {**GRID, "dataset": {"source": "mvtec_loco", "folder": "loco", "categories": ["pushpins"]},
             "teacher": {**TEACHER, **FROM_IMAGENET, "published": {"M": "fetch"}},
             "training": {**TRAINING, "sizes": ["S", "M"], "seeds": [3]},
             "pretraining": {"images": "imagenette", "folder": "data/imagenette"}, "protocols": PROTOCOLS},
}  # fmt: skip
SHARED = {**TRAINING, "size": "tiny"}


def methods_of(size: str) -> list[dict[str, Any]]:
    """Every method of a size, as the grid says it in JSON."""

    def method(name: str, label: str, dfsc: dict[str, Any] | None, changed: str = "") -> dict[str, Any]:
        family = "DFSC" if dfsc else "EfficientAD"
        return {
            "name": name, "label": label, "family": f"{family}-{size}", "pairs_with": f"efficientad-{size}",
            "size": size, "dfsc": dfsc, "changed": changed, "origin": "trained", "seeded": True, "protocol": None,
        }  # fmt: skip

    return [
        method(f"efficientad-{size}", f"EfficientAD-{size}", None),
        method(f"dfsc-{size}-q0.95", f"DFSC-{size} τ'=0.95", {**READING, "quantile": 0.95}),
        method(f"dfsc-{size}-q0.9", f"DFSC-{size} τ'=0.9", {**READING, "quantile": 0.9}),
        method(
            f"dfsc-{size}-q0.9-margin_2.0",
            f"DFSC-{size} τ'=0.9, margin 2.0",
            {**READING, "margin": 2.0, "quantile": 0.9},
            "margin 2.0",
        ),
    ]


OWN = {"benchmark": "own", "source": "folder", "categories": ["bolts", "01"], "seeds": [3, 7],
       "methods": [*methods_of("S"), *methods_of("tiny")],
       "headlines": ["dfsc-S-q0.9", "dfsc-tiny-q0.9"]}  # fmt: skip
CELL = {"category": "01", "method": "dfsc-tiny-q0.9-margin_2.0", "seed": "7"}
BASELINE = {**CELL, "method": "efficientad-tiny", "seed": "3"}
PLACE = {"declared": "dfsc-tiny-q0.9", "category": "01"}
MODEL = "results/own/01/dfsc-tiny-q0.9-margin_2.0/seed7"
FIRST, SECOND = (f"results/own/01/{method}/seed3" for method in ("efficientad-tiny", "dfsc-tiny-q0.9"))
LABELS = shlex.join(["--label=EfficientAD-tiny", "--label=DFSC-tiny τ'=0.9"])
CURVES = f"--curve={FIRST}/training_curve.csv --curve={SECOND}/training_curve.csv"
MANIFESTS = " ".join(f"--manifest=results/own/manifests/01/{part}.csv" for part in ("training", "test", "ground_truth"))
TRACKED_OF_ALL = ("scores.csv", "metrics.json", "curves.csv", "curves.png", "heatmaps.png")
TRACKED = " ".join(f"{MODEL}/{name}" for name in ("model.pt", "training.json", "training_curve.csv", *TRACKED_OF_ALL))
DRAWN = "results/drawn/manifests/coin_tray"
DRAWN_MANIFESTS = [f"--manifest={DRAWN}/{part}.csv" for part in ("training", "test", "ground_truth")]
IMAGES = "--dataset 'my images' --category 01"
FIGURES = "results/own/figures"
Key = tuple[str, str, tuple[tuple[str, str], ...]]


def as_json(values: dict[str, Any]) -> str:
    """One argument of a command."""
    return shlex.quote(json.dumps(values, sort_keys=True))


def of(**wildcards: str) -> tuple[tuple[str, str], ...]:
    """The wildcards of a job."""
    return tuple(sorted(wildcards.items()))


def outside_files(cell: str) -> str:
    """What is written of a cell from outside."""
    folder = f"results/drawn/coin_tray/{cell}"
    return f"--scores {folder}/scores.csv --maps {folder}/maps.npz --record {folder}/method.json"


def deviating_files(name: str) -> str:
    """What is written of a training of Table 7, and where its progress is kept."""
    cell = f"pushpins/efficientad-M-{name}/seed3"
    return (
        f"--output results/loco/{cell}/model.pt --curve results/loco/{cell}/training_curve.csv "
        f"--distances results/loco/{cell}/feature_distances.npz --record results/loco/{cell}/training.json "
        f"--checkpoints results/loco/checkpoints --progress logs/loco/{cell}/train.progress.json "
        "--kept results/loco/kept --workers $((1 - 1))"
    )


def path(cell: dict[str, str]) -> str:
    """A model's folder."""
    return f"{cell['category']}/{cell['method']}/seed{cell['seed']}"


# (configuration, rule, wildcards): what the command should be, without where its output is shown and logged.
EXPECTED: dict[Key, str] = {
    ("loco", "fetch", of(source="mvtec_loco")): "dfsc fetch mvtec_loco --output loco --dvc",
    ("loco", "fetch", of(source="imagenette")): "dfsc fetch imagenette --dvc",
    ("loco", "fetch", of(source="wide_resnet101_2")): "dfsc fetch wide_resnet101_2 --dvc",
    ("loco", "fetch", of(source="teacher_medium")): "dfsc fetch teacher_medium --dvc",
    **{
        ("drawn", "synthesize", of(category=part)): (
            f"dfsc synthesize --output data/drawn --only {part} --settings {as_json(COUNTS)}"
        )
        for part in ("coin_tray", "pretraining")
    },
    **{
        (name, "arrange", of(category="bolts", part=part)): (
            f"dfsc arrange {source} --split {as_json(SPLIT)} --output arranged/bolts --part {part} "
            + (of_masks if part == "ground_truth" else "")
        )
        for name, source, of_masks in (
            ("ad", "--layout visa --folder 'their images/bolts'", "--mask-threshold 128"),
            ("photos", f"--images {as_json(PHOTOS)}", "--large-masks"),
        )
        for part in ("training", "test", "ground_truth")
    },
    **{
        (name, "manifest", of(category=category, part=part)): (
            f"dfsc manifest --dataset {folder} --category {category} --part {part} "
            f"--output results/{name}/manifests/{category}/{part}.csv {options} "
            f"{large if part == 'ground_truth' else ''} --workers 2"
        )
        for name, folder, category, options, large in (
            ("own", "'my images'", "01", "", "--large-masks"),
            ("ad", "arranged", "bolts", "", ""),
            ("drawn", "data/drawn", "coin_tray", "", "--large-masks"),
            ("loco", "loco", "pushpins", "--published config/mvtec_loco.csv", "--large-masks"),
        )
        for part in ("training", "test", "ground_truth")
    },
    **{
        (name, "index_pretraining", of()): (
            f"dfsc index --folder {folder} --source {source} --output results/{name}/pretraining.index"
        )
        for name, folder, source in (
            ("own", "'my photos'", "other"),
            ("drawn", "data/drawn/pretraining", "generated"),
            ("loco", "data/imagenette", "imagenette"),
        )
    },
    ("own", "pretrain_teacher", of(size="tiny")): (
        f"dfsc teacher pretrain --settings {as_json({**TEACHER, 'size': 'tiny', 'image_size': 96})} "
        "--pretraining-index results/own/pretraining.index --pretraining-folder 'my photos' "
        "--output results/own/teachers/tiny/teacher.pt --curve results/own/teachers/tiny/teacher.csv "
        "--record results/own/teachers/tiny/teacher.json --checkpoints results/own/checkpoints "
        "--progress logs/own/teachers/tiny/teacher.progress.json --threads 2 --workers 2"
    ),
    ("drawn", "pretrain_teacher", of(size="S")): (
        f"dfsc teacher pretrain --settings {as_json({**TEACHER, **FROM_PACKAGE, 'size': 'S', 'image_size': 96})} "
        "--pretraining-index results/drawn/pretraining.index --pretraining-folder data/drawn/pretraining "
        "--output results/drawn/teachers/S/teacher.pt --curve results/drawn/teachers/S/teacher.csv "
        "--record results/drawn/teachers/S/teacher.json --checkpoints results/drawn/checkpoints "
        "--progress logs/drawn/teachers/S/teacher.progress.json --threads 2 --workers 2"
    ),
    ("loco", "pretrain_teacher", of(size="S")): (
        "dfsc teacher pretrain --settings "
        + as_json({**TEACHER, **FROM_IMAGENET, "size": "S", "image_size": 96})
        + " --pretraining-index results/loco/pretraining.index --pretraining-folder data/imagenette "
        "--backbone-weights data/backbone/wide_resnet101_2-32ee1156.pth "
        "--output results/loco/teachers/S/teacher.pt --curve results/loco/teachers/S/teacher.csv "
        "--record results/loco/teachers/S/teacher.json --checkpoints results/loco/checkpoints "
        "--progress logs/loco/teachers/S/teacher.progress.json --threads 2 --workers 2"
    ),
    ("own", "import_teacher", of(size="S")): (
        "dfsc teacher import given/small.pth --size S --output results/own/teachers/S/teacher.pt "
        "--record results/own/teachers/S/teacher.json"
    ),
    ("loco", "import_teacher", of(size="M")): (
        "dfsc teacher import data/teachers/teacher_medium.pth --size M "
        "--sha256 a66e1513cbc252e7907531ef4536155e338a48e8edf3a5e6a66498f661414b9c "
        "--output results/loco/teachers/M/teacher.pt --record results/loco/teachers/M/teacher.json"
    ),
    **{
        ("own", "train", of(**cell)): (
            f"dfsc train --settings {as_json({**SHARED, 'seed': int(cell['seed']), 'dfsc': dfsc})} {IMAGES} "
            "--manifest results/own/manifests/01/training.csv --teacher results/own/teachers/tiny/teacher.pt "
            "--pretraining-index results/own/pretraining.index --pretraining-folder 'my photos' "
            f"--output results/own/{path(cell)}/model.pt --curve results/own/{path(cell)}/training_curve.csv "
            f"--distances results/own/{path(cell)}/feature_distances.npz "
            f"--record results/own/{path(cell)}/training.json --checkpoints results/own/checkpoints "
            f"--progress logs/own/{path(cell)}/train.progress.json --kept results/own/kept --workers $((1 - 1))"
        )
        for cell, dfsc in ((CELL, {**READING, "margin": 2.0, "quantile": 0.9}), (BASELINE, None))
    },
    ("own", "score", of(**CELL)): (
        f'dfsc score --model {MODEL}/model.pt --settings \'{{"padding": "replicate", "precision": "float16"}}\' '
        f"{IMAGES} --manifest results/own/manifests/01/test.csv --scores {MODEL}/scores.csv --maps {MODEL}/maps.npz "
        "--kept results/own/kept"
    ),
    ("own", "measure_speed", of(size="tiny")): (
        "dfsc speed --size tiny --image-size 96 "
        '--settings \'{"padding": "replicate", "precision": "float16"}\' --output results/own/speed/tiny.json'
    ),
    ("own", "evaluate", of(**CELL)): (
        f"dfsc evaluate {IMAGES} --maps {MODEL}/maps.npz --scores {MODEL}/scores.csv "
        f"--output {MODEL}/metrics.json --curves {MODEL}/curves --workers 1"
    ),
    ("drawn", "run_method", of(category="coin_tray", method="mine", seed="3")): (
        "dfsc method run --command 'methods/my method/run' --dataset data/drawn --category coin_tray "
        f"--manifest {DRAWN}/training.csv --manifest {DRAWN}/test.csv --seed 3 --minutes 7 --gpus 2 "
        f"{outside_files('mine/seed3')}"
    ),
    ("drawn", "import_maps", of(category="coin_tray", method="theirs", seed="7")): (
        f"dfsc method import --folder 'their maps/coin_tray/7' --manifest {DRAWN}/test.csv --seed 7 "
        f"{outside_files('theirs/seed7')}"
    ),
    ("drawn", "make_control", of(category="coin_tray", method="oracle", seed="none")): (
        f"dfsc method control oracle --dataset data/drawn --category coin_tray --manifest {DRAWN}/test.csv --seed none "
        f"{outside_files('oracle/seednone')}"
    ),
    ("drawn", "track", of(category="coin_tray", method="oracle", seed="none")): (
        "dfsc track "
        + " ".join(f"results/drawn/coin_tray/oracle/seednone/{name}" for name in ("method.json", *TRACKED_OF_ALL))
        + " --uri http://127.0.0.1:5000 --experiment drawn --category coin_tray --method oracle "
        f"{' '.join(DRAWN_MANIFESTS)} --output results/drawn/coin_tray/oracle/seednone/run.json"
    ),
    ("drawn", "draw_model_heatmaps", of(category="coin_tray", method="oracle", seed="none")): (
        "dfsc heatmaps results/drawn/coin_tray/oracle/seednone/maps.npz --label 'oracle (control)' "
        "--dataset data/drawn --category coin_tray --output results/drawn/coin_tray/oracle/seednone/heatmaps"
    ),
    ("drawn", "draw_heatmaps", of(choice="heatmaps", declared="oracle", category="coin_tray")): (
        "dfsc heatmaps results/drawn/coin_tray/efficientad-S/seed3/maps.npz "
        "results/drawn/coin_tray/oracle/seednone/maps.npz --label=EfficientAD-S '--label=oracle (control)' "
        "--dataset data/drawn --category coin_tray --source generated "
        "--output results/drawn/figures/heatmaps_oracle_coin_tray"
    ),
    ("own", "track", of(**CELL)): (
        f"dfsc track {TRACKED} --uri http://127.0.0.1:5000 --experiment own --category 01 "
        f"--method dfsc-tiny-q0.9-margin_2.0 {MANIFESTS} --output {MODEL}/run.json"
    ),
    ("own", "track_teacher", of(size="tiny")): (
        "dfsc teacher track results/own/teachers/tiny/teacher.pt --uri http://127.0.0.1:5000 --benchmark own "
        "--output results/own/teachers/tiny/run.json"
    ),
    ("own", "tables", of()): (
        f"dfsc tables --grid {as_json(OWN)} --uri http://127.0.0.1:5000 --results results/own "
        "--output results/own/tables --reference config/reference_results.csv"
    ),
    ("own", "pair", of()): (
        f"dfsc pair --grid {as_json(OWN)} --uri http://127.0.0.1:5000 --results results/own "
        "--output results/own/pairs.json"
    ),
    ("own", "draw_auroc_over_quantile", of()): (
        "dfsc auroc-over-quantile --tables results/own/tables --output results/own/figures/auroc_over_quantile"
    ),
    ("own", "draw_histograms", of()): (
        "dfsc histograms --tables results/own/tables --output results/own/figures/score_histograms"
    ),
    ("own", "draw_model_heatmaps", of(**CELL)): (
        f"dfsc heatmaps {MODEL}/maps.npz --label {shlex.quote(methods_of('tiny')[3]['label'])} {IMAGES} --source=other "
        f"--output {MODEL}/heatmaps"
    ),
    ("own", "draw_heatmaps", of(choice="heatmaps", **PLACE)): (
        f"dfsc heatmaps {FIRST}/maps.npz {SECOND}/maps.npz {LABELS} {IMAGES} --source other "
        f"--output {FIGURES}/heatmaps_dfsc-tiny-q0.9_01"
    ),
    ("own", "draw_heatmaps", of(choice="worst", **PLACE)): (
        f"dfsc heatmaps {FIRST}/maps.npz {SECOND}/maps.npz {LABELS} {IMAGES} --worst {SECOND}/scores.csv "
        f"--source other --output {FIGURES}/worst_dfsc-tiny-q0.9_01"
    ),
    ("own", "draw_what_changed", of(**PLACE)): (
        f"dfsc what-changed {FIRST}/maps.npz {SECOND}/maps.npz --tables results/own/tables {IMAGES} "
        f"--method dfsc-tiny-q0.9 --output {FIGURES}/what_changed_dfsc-tiny-q0.9_01"
    ),
    ("own", "page", of()): (
        "dfsc page --results results/own --dataset 'my images' --output results/own/page "
        "--reference config/reference_results.csv --workers 2"
    ),
    ("own", "draw_novelty", of(**PLACE)): (
        f"dfsc novelty {FIRST}/model.pt {SECOND}/model.pt {LABELS} {CURVES} {IMAGES} --quantiles 0.95,0.9 "
        f"--source other --output {FIGURES}/novelty_dfsc-tiny-q0.9_01"
    ),
    ("own", "draw_novelty_over_training", of(**PLACE)): (
        f"dfsc novelty-over-training {FIRST}/feature_distances.npz {SECOND}/feature_distances.npz {LABELS} {CURVES} "
        f"--quantiles 0.95,0.9 --output {FIGURES}/novelty_over_training_dfsc-tiny-q0.9_01 "
        "--title '01 (pretraining images: other)'"
    ),
    ("loco", "index_penalty", of()): (
        "dfsc index --folder 'few photos' --source other --first 5 --output results/loco/penalty.index"
    ),
    **{
        ("loco", "train", of(category="pushpins", method=f"efficientad-M-{name}", seed="3")): (
            f"dfsc train --settings {as_json({**SHARED, 'size': 'M', 'seed': 3, 'dfsc': None, **changed})} "
            "--dataset loco --category pushpins --manifest results/loco/manifests/pushpins/training.csv "
            f"--teacher results/loco/teachers/M/teacher.pt --pretraining-index results/loco/{index}.index "
            f"--pretraining-folder {folder} " + deviating_files(name)
        )
        for name, changed, index, folder in (
            ("no_penalty", {"protocol": {"penalty": False}}, "pretraining", "data/imagenette"),
            ("other_penalty", {}, "penalty", "'few photos'"),
            ("checkpoints_3", {"protocol": {"checkpoints": 3}}, "pretraining", "data/imagenette"),
        )
    },
    **{
        ("loco", "score", of(category="pushpins", method=f"efficientad-M-{name}", seed="3")): (
            f"dfsc score --model results/loco/pushpins/{model}/seed3/model.pt "
            f"--settings {as_json({'padding': 'replicate', 'precision': 'float16', **changed})} "
            f"--dataset loco --category pushpins --manifest results/loco/manifests/pushpins/test.csv {validation} "
            f"--scores results/loco/pushpins/efficientad-M-{name}/seed3/scores.csv "
            f"--maps results/loco/pushpins/efficientad-M-{name}/seed3/maps.npz --kept results/loco/kept"
        )
        for name, model, changed, validation in (
            ("no_penalty", "efficientad-M-no_penalty", {}, ""),
            ("checkpoints_3", "efficientad-M-checkpoints_3", {"best_on_test": True}, ""),
            (
                "calibration_images_4",
                "efficientad-M",
                {"calibration_images": 4},
                "--validation=results/loco/manifests/pushpins/training.csv",
            ),
            ("padding_zero", "efficientad-M", {"padding": "zero"}, ""),
        )
    },
    ("loco", "track", of(category="pushpins", method="efficientad-M-padding_zero", seed="3")): (
        "dfsc track "
        + " ".join(f"results/loco/pushpins/efficientad-M-padding_zero/seed3/{name}" for name in TRACKED_OF_ALL)
        + " results/loco/pushpins/efficientad-M/seed3/training.json "
        "results/loco/pushpins/efficientad-M/seed3/training_curve.csv "
        "--uri http://127.0.0.1:5000 --experiment loco --category pushpins --method efficientad-M-padding_zero "
        + " ".join(
            f"--manifest=results/loco/manifests/pushpins/{part}.csv" for part in ("training", "test", "ground_truth")
        )
        + " '--protocol=EfficientAD-M, padding: zero' "
        "--output results/loco/pushpins/efficientad-M-padding_zero/seed3/run.json"
    ),
    ("loco", "draw_model_heatmaps", of(category="pushpins", method="efficientad-M-other_penalty", seed="3")): (
        "dfsc heatmaps results/loco/pushpins/efficientad-M-other_penalty/seed3/maps.npz "
        "--label 'EfficientAD-M, penalty images: other, the first 5' --dataset loco --category pushpins "
        "--source=other --output results/loco/pushpins/efficientad-M-other_penalty/seed3/heatmaps"
    ),
    ("own", "all", of()): "",
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout where nothing has run, with what comes from outside: a teacher, a method, and maps of a seed."""
    checkout = Checkout.new(tmp_path_factory.mktemp("planned"))
    for name in ("given/small.pth", "their maps/coin_tray/7/test/good/000.tiff"):
        (checkout.root / name).parent.mkdir(parents=True)
        (checkout.root / name).touch()
    write_method(checkout.root / "methods/my method", "#!/bin/sh")
    return checkout


@pytest.fixture(scope="module")
def planned(outside: Checkout) -> dict[str, list[Job]]:
    """Every job of the configurations, in that checkout."""
    with planning(outside) as planner:
        return planner.each([], {name: {"benchmark": name, **overlay} for name, overlay in CONFIGURATIONS.items()})


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda key: "-".join([*key[:2], *(value for _, value in key[2])]))
def test_every_rule_passes_on_what_it_has(planned: dict[str, list[Job]], expected: Key) -> None:
    name, rule, wildcards = expected
    (job,) = [job for job in planned[name] if job.rule == rule and of(**job.wildcards) == wildcards]
    command = re.split(r" > | 2>&1", job.command)[0]
    assert " ".join(command.split()) == " ".join(EXPECTED[expected].split())


def test_every_rule_is_expected(planned: dict[str, list[Job]]) -> None:
    assert {job.rule for jobs in planned.values() for job in jobs} == {rule for _, rule, _ in EXPECTED}


def test_what_computes_with_a_network_asks_for_a_gpu_and_nothing_else_does(planned: dict[str, list[Job]]) -> None:
    of_rules = dict.fromkeys(("pretrain_teacher", "train", "score", "measure_speed"), 1) | {"run_method": 2}
    jobs = [job for of_one in planned.values() for job in of_one]
    assert {job.rule for job in jobs} >= of_rules.keys()
    assert {job.rule: job.gpus for job in jobs if job.gpus} == of_rules
    assert all(job.gpus == of_rules.get(job.rule, 0) for job in jobs)


def test_images_are_checked_first_and_a_model_is_tracked_before_the_next_is_trained(
    planned: dict[str, list[Job]],
) -> None:
    of_rule = {job.rule: job.priority for jobs in planned.values() for job in jobs}
    first = [of_rule.pop(rule) for rule in ("fetch", "synthesize", "arrange", "manifest", "index_pretraining")]
    assert min(first) > max(priority for rule, priority in of_rule.items() if rule != "index_penalty")
    in_order = [of_rule[rule] for rule in ("measure_speed", "train", "score", "evaluate", "track")]
    assert in_order == sorted({*in_order}), "each above the one before"


# What each rule reads of the images of a category: it runs again when these change, and for no other.
READS = {
    "train": {"training"},
    "score": {"test"},
    "evaluate": {"ground_truth"},
    "run_method": {"training", "test"},
    "import_maps": {"test"},
    "make_control": {"test", "ground_truth"},
    "track": {"training", "test", "ground_truth"},
    "draw_model_heatmaps": {"ground_truth"},
    "draw_heatmaps": {"ground_truth"},
    "draw_what_changed": {"ground_truth"},
    "draw_novelty": {"training", "test", "ground_truth"},
    "page": {"ground_truth"},
}


def test_a_rule_rests_on_the_parts_of_the_images_that_it_reads(planned: dict[str, list[Job]]) -> None:
    seen = set()
    for job in [job for jobs in planned.values() for job in jobs]:
        parts = {Path(file).stem for file in job.inputs if "/manifests/" in file}
        recalibrated = {"training"} if job.rule == "score" and "--validation=" in job.command else set()
        assert parts == READS.get(job.rule, set()) | recalibrated, job
        seen.add(job.rule)
    assert seen >= READS.keys()


def test_what_comes_from_outside_is_taken_over_again_when_its_content_changes(
    planned: dict[str, list[Job]], outside: Checkout
) -> None:
    """And the page is written again when its look does."""

    def params(name: str, rule: str, **wildcards: str) -> dict[str, str]:
        (found,) = (
            job.params for job in planned[name] if job.rule == rule and wildcards.items() <= job.wildcards.items()
        )
        return found

    for source in ("mvtec_loco", "teacher_medium"):
        listed = read_source(source, CHECKOUT / "config/sources.yaml")
        assert params("loco", "fetch", source=source)["sha256"] == listed.sha256
    command, maps = (outside.root / name for name in ("methods/my method/run", "their maps/coin_tray/7"))
    assert params("drawn", "run_method", seed="7")["method_code"] == folder_digest(command)
    content = category_content(maps, outside.root / "unseen", keep=False)
    assert params("drawn", "import_maps", seed="7")["content"] == content["test"] != content["training"]
    assert params("own", "page")["drawn_with"] == drawn_with()


def test_a_published_teacher_is_taken_over_again_when_its_file_changes(planned: dict[str, list[Job]]) -> None:
    inputs = {name: job.inputs for name, jobs in planned.items() for job in jobs if job.rule == "import_teacher"}
    assert inputs["own"] == ["given/small.pth"] and inputs["loco"] == ["results/loco/fetched/teacher_medium"]


def test_changed_pretraining_or_penalty_images_are_listed_again_by_their_own_rule(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    checkout = Checkout.new(tmp_path_factory.mktemp("listed"), quick=True)
    rules = {"index_pretraining": "my photos", "index_penalty": "few photos"}
    for name in ("given/small.pth", *(f"{folder}/first.png" for folder in rules.values())):
        (checkout.root / name).parent.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(checkout.root / name, format="PNG")
    listed = {"benchmark": "listed", **CONFIGURATIONS["own"], "protocols": PROTOCOLS}
    (checkout.root / "listed.yaml").write_text(yaml.safe_dump(listed))
    indices = [f"results/listed/{name}.index" for name in ("pretraining", "penalty")]
    run = checkout.snakemake("--configfile", "listed.yaml", "--", *indices)
    assert run.returncode == 0, run.stdout
    with planning(checkout) as planner:
        assert not rules.keys() & {job.rule for job in planner.jobs("listed.yaml")}
        for rule, folder in rules.items():
            added = Path(shutil.copy(checkout.root / folder / "first.png", checkout.root / folder / "second.png"))
            assert rules.keys() & {job.rule for job in planner.jobs("listed.yaml")} == {rule}
            added.unlink()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_table_is_made(planned: dict[str, list[Job]], name: str) -> None:
    """In all formats, and shown in the report; Table 7 where a method deviates from the published protocol."""
    (job,) = (job for job in planned[name] if job.rule == "tables")
    made = [re.search(r"tables/table(\d)_\w+\.(\w+)$", file) for file in job.outputs]
    numbers = "1234567" if name == "loco" else "123456"
    assert sorted(found.groups() for found in made if found) == sorted(product(numbers, ("csv", "md", "tex", "html")))


@pytest.mark.parametrize("rule", ["tables", "page"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_results_on_loco_stand_beside_no_other_data_set_and_no_images_of_ones_own(
    planned: dict[str, list[Job]], name: str, rule: str
) -> None:
    (job,) = (job for job in planned[name] if job.rule == rule)
    assert ("--reference config/reference_results.csv" in job.command) == (name in ("own", "drawn", "loco"))
    assert ("--reference" in job.command) == (name in ("own", "drawn", "loco"))


def test_no_rule_keeps_a_failure_to_itself(planned: dict[str, list[Job]]) -> None:
    """What a command says is kept in its log, and shown where a person waits for it."""
    for job in [job for jobs in planned.values() for job in jobs if job.command]:
        assert re.search(r"> \S+\.log 2>&1|2>&1 \| .*tee \S+\.log", job.command), job.command
