"""The configuration: one description of every leaf, the grid, and which settings a stage depends on."""

import contextlib
import copy
import csv
import json
import os
import re
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.utils import update_config

from dfsc.errors import UserError
from dfsc.model.networks import SIZES
from dfsc.settings.building import build
from dfsc.settings.constraint import equal_models
from dfsc.settings.grid import Cell, Grid, Method, teacher_settings, training_settings
from dfsc.settings.leaves import Size
from dfsc.settings.reading import check, laid_over, normalised, read_configuration
from dfsc.settings.schema import schema_text
from dfsc.settings.scoring import ScoringSettings
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from support.checkout import CHECKOUT
from support.learners import learner_of
from support.prepared import DFSC, TRAINING, Prepared

CONFIG = CHECKOUT / "config"
DEMO = {"source": "generated", "folder": "data/demo", "categories": ["coin_tray"]}


def merged(name: str) -> dict[str, Any]:
    """config.yaml, with another file's keys on top, as Snakemake merges them."""
    config: dict[str, Any] = yaml.safe_load((CONFIG / "config.yaml").read_text())
    update_config(config, yaml.safe_load((CONFIG / name).read_text()))
    return config


def demo() -> dict[str, Any]:
    """The demo's configuration at the reading that these tests count on; another one may become the default."""
    config = merged("demo.yaml")
    config["dfsc"] |= {**DFSC, "headline_quantile": 0.99}
    del config["dfsc"]["quantile"]
    return config


def changed(key: str, value: object) -> dict[str, Any]:
    """That configuration with one key, named as 'section.key', set."""
    config = copy.deepcopy(demo())
    *sections, last = key.split(".")
    place = config
    for section in sections:
        place = place[section]
    place[last] = value
    return config


def refusal(config: dict[str, Any]) -> str:
    """The line with which a configuration is refused."""
    with pytest.raises(UserError) as refused:
        check(config)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml", "ablations.yaml", "my_images.yaml"])
def test_shipped_configurations_fit_their_description_and_the_stages(name: str) -> None:
    config = merged(name)
    check(config)
    assert normalised(config) == config, "a shipped file is written as it is read"
    for size in config["training"]["sizes"]:
        assert build(TeacherSettings, teacher_settings(config, size)).size == size
    for method in Grid.from_config(config).methods:
        settings = build(TrainingSettings, training_settings(config, method, 0))
        assert settings.size == method.size
        assert (settings.dfsc is None) == method.is_baseline == method.name.startswith("efficientad")
        assert (settings.dfsc and settings.dfsc.quantile) == method.quantile
    build(ScoringSettings, config["inference"])
    if "generated" in config["dataset"]:
        build(SyntheticSettings, config["dataset"]["generated"])


def test_the_papers_grid_is_of_the_published_categories_and_varies_one_thing_at_a_time() -> None:
    config = merged("config.yaml")
    with (CONFIG / "mvtec_loco.csv").open(newline="") as stream:
        assert config["dataset"]["categories"] == [row["category"] for row in csv.DictReader(stream)]
    grid = Grid.from_config(config)
    assert [[method.name for method in pair] for pair in grid.pairs] == [
        [f"efficientad-{size}", f"dfsc-{size}-q0.9"] for size in ("S", "M")
    ]
    assert [method for pair in grid.pairs for method in grid.paired_with(pair[0].name)] == grid.methods
    for (baseline, *variants), seed in product((grid.paired_with(pair[0].name) for pair in grid.pairs), grid.seeds):
        assert len(variants) > 1
        expected = training_settings(config, baseline, seed)
        assert expected["dfsc"] is None and (expected["size"], expected["seed"]) == (baseline.size, seed)
        found = [training_settings(config, method, seed) for method in variants]
        assert all({**settings, "dfsc": None} == expected for settings in found)
        readings = [{**settings["dfsc"], "quantile": None} for settings in found]
        assert all(reading == readings[0] for reading in readings)
        assert [settings["dfsc"]["quantile"] for settings in found] == [method.quantile for method in variants]
        assert len({method.quantile for method in variants}) == len(variants)


def test_the_papers_training_drops_its_learning_rate_where_the_paper_says(prepared: Prepared) -> None:
    names = ("steps", "learning_rate", "learning_rate_drop_after", "learning_rate_drop_factor")
    recipe = merged("config.yaml")["training"]
    learner = learner_of(prepared, **{name: recipe[name] for name in names})
    rates = []
    for step in (0, 66_499, 66_500, 69_999):  # 1e-5 once 66,500 of 70,000 are done: Batzner et al. 2024
        learner.update(step, learner.draw(step))
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])


# Key of TrainingSettings, and what it must refuse: in the configuration and in settings given by hand alike.
WRONG = [
    *[("size", value) for value in ("XL", "s", None, 1)],
    *[("image_size", value) for value in (100, 32, 0, -64, 64.0, "64", True)],
    *[("steps", value) for value in (-3, 0, 1.0, "many", "3", True, None, [1])],
    *[("learning_rate", value) for value in (0, -1e-4, "fast", True, None, float("nan"), float("inf"), "nan", "1e999")],
    *[("hard_quantile", value) for value in (1.5, -0.1, "90 %")],
    *[("jitter", value) for value in (1, 1.0, -0.2)],
    *[("precision", value) for value in ("float16", "float8", "", None)],
    *[("compiled", value) for value in ("false", 0, 1, None, "yes")],
    *[("seed", value) for value in (-1, True, 0.0, 2**70, "0", None)],
    *[("stepps", value) for value in (1, None)],
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_value_is_refused_by_hand_as_in_the_configuration(key: str, value: object) -> None:
    place, entry = {"size": ("sizes", [value]), "seed": ("seeds", [value])}.get(key, (key, value))
    assert refusal(changed(f"training.{place}", entry)).startswith(f"config: training.{place}")
    with pytest.raises(UserError, match=rf"^--settings: {key}: "):
        build(TrainingSettings, {**TRAINING, key: value}, "--settings")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("dfsc.quantiles", [1.0], "dfsc.quantiles.0: 1.0 must be less than 1"),
        ("dfsc.quantiles", [], "dfsc.quantiles: needs an entry"),
        ("dfsc.split_unit", "pixel", "'element' or 'position'"),
        ("dfsc.ablations", [{"margin": 0}], "dfsc.ablations.0.margin: 0.0 must be greater than 0"),
        ("dfsc.ablations", [{"margin": None}], "dfsc.ablations.0.margin"),
        ("dfsc.ablations", [{"seed": 5}], "dfsc.ablations.0.seed: unknown key"),
        ("dfsc.ablations", [{"margin": 2, "label": "a|b"}], "dfsc.ablations.0.label"),
        ("dfsc.distance", "norm", "split_unit must be position"),
        ("dataset.categories", [], "dataset.categories: needs an entry"),
        ("dataset.categories", ["a b"], "dataset.categories.0"),
        ("dataset.categories", ["coin_tray\n"], "dataset.categories.0"),
        ("dataset.categories", "coin_tray", "must be a list"),
        ("dataset.generated.train", 0, "dataset.generated.train"),
        ("dataset.folder", "", "dataset.folder"),
        ("dataset.folder", None, "dataset.folder: None must be text"),
        ("benchmark", "a/b", "benchmark"),
        ("benchmark", 2024, "benchmark: 2024 must be text; put it in quotes"),
        ("teacher.published", {"tiny": "x.pth"}, "teacher.published.tiny"),
        ("teacher.backbone", "hf-hub:timm/resnet18", "teacher.backbone"),
        ("inference.padding", "mirror", "'zero', 'minimum' or 'replicate'"),
        ("inference", None, "inference: None must be a mapping"),
        ("tracking.uri", "mlruns", "tracking.uri"),
        ("hardware", {}, "hardware: unknown key; the keys there are benchmark, dataset"),
        ("dataset.mask_threshold", 128, "dataset.mask_threshold"),  # of MVTec AD's layout alone
        ("dataset.large_masks", "false", "dataset.large_masks: 'false' must be true or false"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(key: str, value: object, words: str) -> None:
    assert words in refusal(changed(key, value))


@pytest.mark.parametrize("category", ["01", "08", "null", "~", "no", "2024-01-01", "1.5"])
def test_a_category_that_yaml_takes_for_something_else_is_to_be_quoted(category: str) -> None:
    read = yaml.safe_load(f"[{category}]")
    if not isinstance(read[0], str):
        line = refusal({**changed("dataset.source", "folder"), "dataset": {**DEMO, "categories": read}})
        assert "dataset.categories.0" in line and "put it in quotes" in line


@pytest.mark.parametrize("category", ["01", "null", "NA", "all", "1e5", "nan", "true"])
def test_any_name_is_a_category_where_it_is_text(category: str) -> None:
    config = merged("demo.yaml")
    changes = {"source": "folder", "folder": "images", "categories": yaml.safe_load(f"['{category}']")}
    images = {"images": "other", "folder": "images"}
    check({**config, "dataset": {**config["dataset"], **changes}, "pretraining": images})


def test_the_schema_for_editors_is_the_description() -> None:
    written = CONFIG.parent / "workflow/schemas/config.schema.json"
    assert written.read_text() == f"{schema_text()}\n", "python -m dfsc.settings.schema writes it anew"


@pytest.mark.parametrize(
    ("threshold", "right"), [(1, True), (65535, True), (None, True), (0, False), (0.5, False), (True, False)]
)
def test_the_threshold_of_masks(threshold: object, right: bool) -> None:
    config = copy.deepcopy(merged("config.yaml"))
    config["dataset"] |= {"source": "mvtec_ad", "original": "there", "mask_threshold": threshold}
    with contextlib.nullcontext() if right else pytest.raises(UserError, match="mask_threshold"):
        check(config)


def test_a_missing_key_is_named() -> None:
    config = merged("config.yaml")
    del config["training"]["jitter"]
    assert refusal(config) == "config: training.jitter: is missing"


DISAGREEMENTS = [
    ({"dfsc.headline_quantile": 0.5}, ("dfsc.headline_quantile", "dfsc.quantiles")),
    ({"dfsc.quantiles": [0.9, "0.90", 0.99]}, ("dfsc.quantiles", "2 times")),
    ({"training.seeds": [0, 0]}, ("training.seeds",)),
    ({"training.sizes": ["S", "tiny", "S"]}, ("training.sizes",)),
    ({"dataset.categories": ["coin_tray"] * 2}, ("dataset.categories",)),
    ({"dfsc.quantiles": [0.99, 0.99999991, 0.99999992]}, ("dfsc-tiny-q0.99999991", "dfsc-tiny-q0.99999992")),
    ({"dfsc.ablations": [{"margin": 1}]}, ("dfsc.ablations.0", "dfsc-tiny-q0.99")),
    ({"dfsc.ablations": [{}]}, ("dfsc.ablations.0", "dfsc-tiny-q0.99")),
    ({"dfsc.ablations": [{"quantile": 0.9, "label": "twin"}]}, ("dfsc.ablations.0", "dfsc-tiny-q0.9")),
    ({"dfsc.ablations": [{"margin": 2}, {"distance": "norm"}]}, ("dfsc.ablations.1", "split_unit must be position")),
    ({"dfsc.ablations": [{"margin": 2}, {"margin": "2.0"}]}, ("dfsc.ablations.1", "dfsc.ablations.0")),
    ({"dfsc.ablations": [{"distance": "root"}, {"margin": 1, "distance": "root"}]}, ("dfsc.ablations.1",)),
    ({"dataset.generated": None}, ("dataset.generated", "dataset.source")),
    ({"dataset.source": "mvtec_ad", "pretraining.images": "other"}, ("dataset.original",)),
    ({"dataset.source": "btad", "pretraining.images": "other"}, ("dataset.original",)),
    ({"dataset.source": "images", "pretraining.images": "other"}, ("dataset.images", "missing")),
    (
        {"dataset.source": "images", "dataset.images": {"part": {"good": ["ok"]}}, "pretraining.images": "other"},
        ("dataset.images", "coin_tray"),
    ),
    ({"dataset.images": {"part": {"good": ["ok", "$NOWHERE/x"]}}}, ("dataset.images.part.good.1", "$NOWHERE")),
    ({"dataset.split": {"validation": 0.5, "test": 0.5, "seed": 0}}, ("dataset.split", "training")),
    ({"dataset.source": "folder"}, ("pretraining.images", "dataset.source")),
    ({"dataset.categories": ["pushpins"]}, ("dataset.categories", "pushpins", "coin_tray")),
    ({"pretraining.folder": "data/elsewhere"}, ("pretraining.folder", "data/demo/pretraining")),
    ({"teacher.published": {"M": "m.pth"}}, ("teacher.published.M", "training.sizes")),
    ({"dataset.folder": "$NOWHERE/images"}, ("dataset.folder", "$NOWHERE")),
    ({"teacher.published": {"S": "${NOT_SET}.pth"}, "training.sizes": ["S"]}, ("teacher.published.S", "${NOT_SET}")),
    ({"pretraining.images": "other", "pretraining.folder": "~nobody_of_this_name/x"}, ("pretraining.folder",)),
    ({"tracking.uri": "sqlite:///$HOME/mlflow.db"}, ("tracking.uri", "write the path out")),
]


@pytest.mark.parametrize(("changes", "named"), DISAGREEMENTS, ids=lambda entry: str(entry)[:60])
def test_values_that_do_not_fit_together_are_named(changes: dict[str, object], named: tuple[str, ...]) -> None:
    config = demo()
    for key, value in changes.items():
        section, name = key.split(".")
        config[section][name] = value
    line = refusal(config)
    assert all(name in line for name in named), line


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://user:s3cret@host/name",
        "postgresql+psycopg2://user:s3cret@host/name",
        "postgresql://user:s3/cr@t@s3cret/name",
        "postgresql://host/name?user=me&password=s3cret",
        "https://user:s3cret@host",
        "https://s3cret@host:5000",
        "mysql://user:s3cret@host/name",
        ["postgresql://user:s3cret@host/name"],
    ],
)
def test_a_password_in_the_configuration_is_refused_and_not_shown(uri: object) -> None:
    for config in (changed("tracking.uri", uri), changed("tracking", uri), changed("benchmark", uri)):
        line = refusal(config)
        assert "s3cret" not in line and line.startswith(("config: tracking", "config: benchmark"))


@pytest.mark.parametrize("uri", ["postgresql://user@host/name", "https://host:5000/mlflow", "sqlite:///a:b@c.db"])
def test_an_address_without_a_password_is_accepted(uri: str) -> None:
    check(changed("tracking.uri", uri))


def test_numbers_and_paths_have_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", "/scratch/me")
    config = merged("demo.yaml")
    config["training"]["learning_rate"] = yaml.safe_load("1e-4")
    config["dfsc"] |= {"margin": 2, "ablations": [{"margin": yaml.safe_load("5e-1")}]}
    config["dataset"]["folder"] = "${MY_DATA}/images/"
    config["pretraining"]["folder"] = "$MY_DATA/images/./pretraining"
    config["teacher"]["published"] = {"S": "~/s.pth"}
    config["training"]["sizes"] = ["S"]
    check(config)
    read = normalised(config)
    assert read["training"]["learning_rate"] == 1e-4
    assert json.dumps([read["dfsc"]["margin"], read["dfsc"]["ablations"]]) == '[2.0, [{"margin": 0.5}]]'
    assert (read["dataset"]["folder"], read["pretraining"]["folder"]) == (
        *("/scratch/me/images", "/scratch/me/images/pretraining"),
    )
    assert read["teacher"]["published"] == {"S": os.path.expanduser("~/s.pth")}  # noqa: PTH111
    assert normalised(read) == read
    assert build(TrainingSettings, {**TRAINING, "weight_decay": "1e-5"}).weight_decay == 1e-5


def test_the_names_in_the_description_are_those_of_the_code() -> None:
    assert set(get_args(Size)) == set(SIZES)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner)
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), JSON)


@given(MAPPINGS, MAPPINGS)
def test_files_are_laid_over_each_other_as_snakemake_does(below: dict[str, Any], above: dict[str, Any]) -> None:
    expected = copy.deepcopy(below)
    update_config(expected, copy.deepcopy(above))
    assert laid_over(below, above) == expected


@pytest.mark.parametrize("content", [None, b"", b"a note", b"- a\n- list", b"a: [", b"\xff\xfe\x00", b"a\x00: 1"])
def test_a_file_that_is_no_configuration_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.yaml: "):
        read_configuration([path])
    with pytest.raises(UserError, match=f"^{tmp_path}: "):
        read_configuration([tmp_path])


BOTH = {"training.sizes": ["S", "tiny"], "dfsc.ablations": [{"margin": 0.5, "distance": "root"}]}


def both_sizes() -> dict[str, Any]:
    """The demo's configuration in two sizes, with an ablation."""
    config = demo()
    for key, value in BOTH.items():
        section, name = key.split(".")
        config[section][name] = value
    return config


def test_every_size_has_a_baseline_and_methods_of_its_own() -> None:
    grid = Grid.from_config(both_sizes())
    described = [(one.name, one.label, one.family, one.pairs_with, one.quantile, one.changed) for one in grid.methods]
    assert described == [
        ("efficientad-S", "EfficientAD-S", "EfficientAD-S", "efficientad-S", None, ""),
        ("dfsc-S-q0.9", "DFSC-S τ'=0.9", "DFSC-S", "efficientad-S", 0.9, ""),
        ("dfsc-S-q0.99", "DFSC-S τ'=0.99", "DFSC-S", "efficientad-S", 0.99, ""),
        ("dfsc-S-q0.99-margin_0.5-distance_root", "DFSC-S τ'=0.99, margin 0.5, distance root", "DFSC-S",
         "efficientad-S", 0.99, "margin 0.5, distance root"),
        ("efficientad-tiny", "EfficientAD-tiny", "EfficientAD-tiny", "efficientad-tiny", None, ""),
        ("dfsc-tiny-q0.9", "DFSC-tiny τ'=0.9", "DFSC-tiny", "efficientad-tiny", 0.9, ""),
        ("dfsc-tiny-q0.99", "DFSC-tiny τ'=0.99", "DFSC-tiny", "efficientad-tiny", 0.99, ""),
        ("dfsc-tiny-q0.99-margin_0.5-distance_root", "DFSC-tiny τ'=0.99, margin 0.5, distance root", "DFSC-tiny",
         "efficientad-tiny", 0.99, "margin 0.5, distance root"),
    ]  # fmt: skip
    assert [method.size for method in grid.methods] == ["S"] * 4 + ["tiny"] * 4
    assert [method.name for method in grid.methods if method.is_baseline] == ["efficientad-S", "efficientad-tiny"]
    assert grid.headlines == ["dfsc-S-q0.99", "dfsc-tiny-q0.99"]
    assert [(baseline.name, declared.name) for baseline, declared in grid.pairs] == [
        *(("efficientad-S", "dfsc-S-q0.99"), ("efficientad-tiny", "dfsc-tiny-q0.99"))
    ]
    assert grid.paired_with("efficientad-tiny") == grid.methods[4:]
    assert [method.dfsc for method in grid.methods[:4]] == [method.dfsc for method in grid.methods[4:]]
    assert not list(equal_models(grid)), "models of two sizes are never equal"


def test_the_cells_are_every_category_method_and_seed_once() -> None:
    grid = Grid.from_config(both_sizes())
    cells = list(grid.cells())
    assert len(cells) == len(set(cells)) == len({cell.path for cell in cells}) == 2 * 8 * 2
    assert {cell.category for cell in cells} == {"coin_tray", "picture_wall"}
    assert {cell.method for cell in cells} == set(grid.names) and {cell.seed for cell in cells} == {0, 1}
    assert Cell("coin_tray", "dfsc-S-q0.9", 1) in cells
    assert Cell("coin_tray", "dfsc-S-q0.9", 1).path == "coin_tray/dfsc-S-q0.9/seed1"


def test_a_grid_is_read_as_it_was_written(tmp_path: Path) -> None:
    grid = Grid.from_config(both_sizes())
    assert Grid.from_text(grid.as_text()) == grid
    (tmp_path / "grid.json").write_text(grid.as_text())
    assert Grid.read(tmp_path / "grid.json") == grid


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"demo"', "null", '{"benchmark": "demo"}'])
def test_text_that_is_no_grid_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--grid: "):
        Grid.from_text(text)
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(UserError, match=r"grid\.json: "):
        Grid.read(tmp_path / "grid.json")


def test_a_grid_with_a_misspelt_key_of_a_method_is_refused() -> None:
    grid = json.loads(Grid.from_config(both_sizes()).as_text())
    grid["methods"][2]["sise"] = grid["methods"][2].pop("size")
    with pytest.raises(UserError, match=r"^--grid: methods\.2\.sise: unknown key"):
        Grid.from_text(json.dumps(grid))


def dfsc_of(quantile: float) -> Method:
    """The demo's DFSC of one quantile alone."""
    config = changed("dfsc.quantiles", [quantile])
    config["dfsc"]["headline_quantile"] = quantile
    (_, method) = Grid.from_config(config).methods
    return method


@pytest.mark.parametrize(
    ("quantile", "name"), [(0.9, "dfsc-tiny-q0.9"), (0.995, "dfsc-tiny-q0.995"), (1e-7, "dfsc-tiny-q0.0000001")]
)
def test_a_method_is_named_after_its_quantile(quantile: float, name: str) -> None:
    assert dfsc_of(quantile).name == name and dfsc_of(quantile).quantile == quantile


def test_an_ablation_of_a_tiny_number_keeps_its_name_in_one_piece() -> None:
    method = Grid.from_config(changed("dfsc.ablations", [{"margin": 1e-5}])).methods[-1]
    assert (method.name, method.changed) == ("dfsc-tiny-q0.99-margin_0.00001", "margin 0.00001")


def test_an_ablation_has_what_it_changes_and_the_rest_as_it_is() -> None:
    changes: list[dict[str, Any]] = [{"margin": 0.5}, {"split_unit": "position", "distance": "root"}]
    config = changed("dfsc.ablations", changes)
    grid = Grid.from_config(config)
    (shared,) = (method.dfsc for method in grid.methods if method.name == "dfsc-tiny-q0.99")
    assert shared == {key: config["dfsc"][key] for key in DFSC if key != "quantile"} | {"quantile": 0.99}
    assert [method.dfsc for method in grid.methods if method.changed] == [{**shared, **entry} for entry in changes]


@pytest.mark.parametrize(
    "name", ["mine", "dfsc-tiny-qmany", "dfsc", "", "dfsc-tiny-q0.5", "efficientad", "dfsc-S-q0.9", "dfsc-tiny-q0.90"]
)
def test_a_name_that_is_no_methods_is_refused_with_those_that_there_are(name: str) -> None:
    grid = Grid.from_config(merged("demo.yaml"))
    assert grid.method("dfsc-tiny-q0.9") == grid.methods[1]
    with pytest.raises(UserError, match=f"^{name}: is no method of demo; there are {', '.join(grid.names)}$"):
        grid.method(name)


@pytest.mark.parametrize(
    ("changes", "pairs"),
    [
        ([{"margin": 0.5}, {"novel_weight": 0.0}, {"distance": "root"}], []),
        ([{"novel_weight": 0.0}, {"novel_weight": 0.0, "margin": 2.0}],
         [("novel_weight_0.0", "novel_weight_0.0-margin_2.0")]),
        ([{"novel_weight": 0.0}, {"novel_weight": 0.0, "novel_loss_over": "all"}],
         [("novel_weight_0.0", "novel_weight_0.0-novel_loss_over_all")]),
        ([{"novel_weight": 0.0, "autoencoder_loss_over": "all"}],
         [("efficientad-tiny", "novel_weight_0.0-autoencoder_loss_over_all")]),
        ([{"margin_unit": "threshold"}, {"novel_weight": 0.0, "distance": "root"}],
         [("margin_unit_threshold", "novel_weight_0.0-distance_root")]),
        ([{"margin_unit": "threshold", "margin": 1.5}, {"novel_weight": 0.0, "quantile": 0.9}], []),
    ],
)  # fmt: skip
def test_models_that_can_only_be_equal_are_named(changes: list[dict[str, Any]], pairs: list[tuple[str, str]]) -> None:
    lines = list(equal_models(Grid.from_config(changed("dfsc.ablations", changes))))
    assert len(lines) == len(pairs)
    for line, (one, other) in zip(lines, pairs, strict=True):
        assert re.match(rf"\S+{other} can only equal \S*{one}: ", line), line


def test_the_baseline_does_not_depend_on_what_only_dfsc_reads() -> None:
    before, after = merged("config.yaml"), merged("config.yaml")
    after["dfsc"]["margin"] = 3.0
    baselines, variants = zip(
        *((training_settings(config, method, 0) for method in Grid.from_config(config).methods[:2])
          for config in (before, after)),
        strict=True,
    )  # fmt: skip
    assert baselines[0] == baselines[1] and variants[0] != variants[1]


def test_settings_are_written_as_they_were_read() -> None:
    assert asdict(build(TrainingSettings, {**TRAINING, "dfsc": DFSC})) == {**TRAINING, "dfsc": DFSC}
