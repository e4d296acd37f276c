"""The configuration: the closed schema, the grid, and which settings a stage depends on."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfsc import config as configuration
from dfsc.config import build
from dfsc.errors import UserError
from dfsc.score import ScoringSettings
from dfsc.synthetic import SyntheticSettings
from dfsc.teacher import TeacherSettings
from dfsc.train import TrainingSettings

CONFIG = Path(__file__).parents[2] / "config"


def merged(name: str) -> dict[str, Any]:
    """config.yaml, with another file's keys on top, as Snakemake merges them."""
    config: dict[str, Any] = yaml.safe_load((CONFIG / "config.yaml").read_text())
    for section, values in yaml.safe_load((CONFIG / name).read_text()).items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    return config


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml"])
def test_shipped_configurations_fit_the_schema_and_the_stages(name: str) -> None:
    config = merged(name)
    configuration.check(config)
    for size in config["training"]["sizes"]:
        build(TeacherSettings, configuration.teacher_settings(config, size))
        for method in configuration.methods(config):
            settings = build(TrainingSettings, configuration.training_settings(config, size, method, 0))
            assert (settings.dfsc is None) == (method == "efficientad")
            assert settings.dfsc is None or settings.dfsc.quantile == configuration.quantile_of(method)
    build(ScoringSettings, config["inference"])
    if "generated" in config["dataset"]:
        build(SyntheticSettings, config["dataset"]["generated"])


def test_the_papers_grid() -> None:
    config = merged("config.yaml")
    assert len(config["dataset"]["categories"]) == 5
    assert configuration.methods(config)[0] == "efficientad"
    assert [configuration.quantile_of(method) for method in configuration.methods(config)[1:]] == [
        *(0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
    ]
    assert config["training"]["steps"] == 70000 and config["teacher"]["steps"] == 60000


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "stepps", 1),
        ("training", "steps", 0),
        ("training", "steps", "many"),
        ("training", "image_size", 100),
        ("dfsc", "quantiles", [1.0]),
        ("dfsc", "split_unit", "pixel"),
        ("dataset", "categories", []),
        ("dataset", "mask_threshold", 128),  # of MVTec AD's layout alone
        ("dataset", "large_masks", "false"),
        ("tracking", "uri", "mlruns"),
    ],
)
def test_a_wrong_key_or_value_is_named(section: str, key: str, value: object) -> None:
    config = copy.deepcopy(merged("config.yaml"))
    config[section][key] = value
    with pytest.raises(UserError, match=key):
        configuration.check(config)


@pytest.mark.parametrize(
    ("threshold", "right"), [(1, True), (65535, True), (None, True), (0, False), (0.5, False), (True, False)]
)
def test_the_threshold_of_masks(threshold: object, right: bool) -> None:
    config = copy.deepcopy(merged("config.yaml"))
    config["dataset"] |= {"source": "mvtec_ad", "original": "there", "mask_threshold": threshold}
    with contextlib.nullcontext() if right else pytest.raises(UserError, match="mask_threshold"):
        configuration.check(config)


def test_a_missing_key_is_named() -> None:
    config = merged("config.yaml")
    del config["training"]["jitter"]
    with pytest.raises(UserError, match="jitter"):
        configuration.check(config)


def test_the_baseline_does_not_depend_on_what_only_dfsc_reads() -> None:
    before, after = merged("config.yaml"), merged("config.yaml")
    after["dfsc"]["margin"] = 2.0
    assert configuration.training_settings(before, "S", "efficientad", 0) == configuration.training_settings(
        after, "S", "efficientad", 0
    )
    assert configuration.training_settings(before, "S", "dfsc-q0.9", 0) != configuration.training_settings(
        after, "S", "dfsc-q0.9", 0
    )
