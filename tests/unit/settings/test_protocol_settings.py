"""Deviations in a configuration: each becomes a method that differs from its baseline in one thing."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dfsc.errors import UserError
from dfsc.settings.building import build
from dfsc.settings.constraint import equal_models
from dfsc.settings.grid import REJUDGED, TRAINED, Grid, scoring_settings, training_settings
from dfsc.settings.reading import read_configuration
from dfsc.settings.scoring import ScoringSettings
from dfsc.settings.training import TrainingSettings
from support.checkout import CHECKOUT

SHIPPED = [Path("config/protocols.yaml")]
ON_THE_DEMO = [Path("config/demo.yaml"), *SHIPPED, Path("config/protocols_demo.yaml")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations are looked for in the checkout."""
    monkeypatch.chdir(CHECKOUT)


def test_each_deviation_is_a_method_paired_with_its_baseline() -> None:
    grid = Grid.from_config(read_configuration(ON_THE_DEMO))
    described = [(one.name, one.label, one.origin, one.model_of, one.protocol) for one in grid.methods if one.protocol]
    start, label = "efficientad-tiny", "EfficientAD-tiny, "
    first = "generated, the first 10"
    assert described == [
        (f"{start}-no_penalty", f"{label}no penalty images", TRAINED, f"{start}-no_penalty", {"penalty": False}),
        (f"{start}-other_penalty", f"{label}penalty images: {first}", TRAINED, f"{start}-other_penalty",
         {"penalty_images": first}),
        (f"{start}-checkpoints_7", f"{label}best of 7 checkpoints on the test images", TRAINED,
         f"{start}-checkpoints_7", {"checkpoints": 7}),
        (f"{start}-calibration_images_8", f"{label}map quantiles from 8 validation images", REJUDGED, start,
         {"calibration_images": 8}),
        (f"{start}-padding_minimum", f"{label}padding: minimum", REJUDGED, start, {"padding": "minimum"}),
        (f"{start}-padding_replicate", f"{label}padding: replicate", REJUDGED, start, {"padding": "replicate"}),
    ]  # fmt: skip
    assert all(one.pairs_with == start and not one.is_outside for one in grid.methods)
    assert grid.headlines == ["dfsc-tiny-q0.9"] and not list(equal_models(grid))
    assert Grid.from_text(grid.as_text()) == grid


def test_each_size_has_its_own_and_the_rest_of_the_grid_stays() -> None:
    without, grid = (Grid.from_config(read_configuration(overlays)) for overlays in ([], SHIPPED))
    assert [method for method in grid.methods if not method.protocol] == without.methods
    assert [one.pairs_with for one in grid.methods if one.protocol] == ["efficientad-S"] * 6 + ["efficientad-M"] * 6
    assert not any(method.protocol for method in without.methods) and grid.headlines == without.headlines


def test_each_differs_from_its_baseline_in_one_thing() -> None:
    config = read_configuration(ON_THE_DEMO)
    grid = Grid.from_config(config)
    trainings: dict[str, Any] = {
        method.name.removeprefix("efficientad-tiny"): training_settings(config, method, 3) for method in grid.methods
    }
    scorings = {
        method.name.removeprefix("efficientad-tiny"): scoring_settings(config, method) for method in grid.methods
    }
    as_published, as_scored = trainings[""], scorings[""]
    assert as_scored == config["inference"] and "protocol" not in as_published
    for name, changed in (("-no_penalty", {"penalty": False}), ("-checkpoints_7", {"checkpoints": 7})):
        assert trainings[name] == {**as_published, "protocol": changed}
    assert trainings["-other_penalty"] == as_published
    for name in ("-no_penalty", "-other_penalty"):
        assert scorings[name] == as_scored
    assert scorings["-checkpoints_7"] == {**as_scored, "best_on_test": True}
    assert scorings["-calibration_images_8"] == {**as_scored, "calibration_images": 8}
    assert scorings["-padding_minimum"] == {**as_scored, "padding": "minimum"}
    for settings in trainings.values():
        build(TrainingSettings, settings)
    for settings in scorings.values():
        build(ScoringSettings, settings)


@pytest.mark.parametrize(
    ("protocols", "told"),
    [
        ("{paddings: [zero]}", "protocols.paddings: zero is inference.padding itself, and no deviation"),
        ("{paddings: [minimum, minimum]}", "protocols.paddings: 'minimum' is listed 2 times; once is enough"),
        ("{paddings: [mean]}", "protocols.paddings.0: 'mean' must be"),
        ("{other_penalty: {images: imagenet, folder: data/imagenet/train}}",
         "protocols.other_penalty: are the images of `pretraining`, and no deviation"),
        ("{other_penalty: {images: generated, folder: data/demo/pretraining}}",
         "protocols.other_penalty.images: generated needs dataset.source generated"),
        ("{other_penalty: {images: imagenette}}", "protocols.other_penalty.folder: is missing"),
        ("{other_penalty: {images: other, folder: $NOWHERE/x}}", "protocols.other_penalty.folder: "),
        ("{checkpoints: 1}", "protocols.checkpoints: 1 must be greater than or equal to 2"),
        ("{checkpoints: 70001}", "protocols.checkpoints: 70001 are more than training.steps"),
        ("{calibration_images: 0}", "protocols.calibration_images: 0 must be"),
        ("{no_penalty: 1}", "protocols.no_penalty: 1 must be true or false"),
        ("{pooled: true}", "protocols.pooled: unknown key; the keys there are no_penalty, other_penalty, checkpoints"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, protocols: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"protocols: {protocols}\n")
    with pytest.raises(UserError) as refused:
        read_configuration([tmp_path / "mine.yaml"])
    assert str(refused.value).startswith(f"config: {told}")


def test_as_many_checkpoints_as_steps_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("protocols: {checkpoints: 70000}\n")
    config = read_configuration([tmp_path / "mine.yaml"])
    assert config["protocols"]["checkpoints"] == config["training"]["steps"] == 70000


@pytest.mark.parametrize("leaf", ["best_on_test: true", "calibration_images: 8"])
def test_a_deviation_is_no_setting_of_all_methods(tmp_path: Path, leaf: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"inference: {{{leaf}}}\n")
    with pytest.raises(UserError, match=f"inference.{leaf.split(':')[0]}: unknown key"):
        read_configuration([tmp_path / "mine.yaml"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("benchmark: one\ntraining: {seeds: [0]}\nbenchmark: two\n", "`benchmark` on lines 1 and 3"),
        ("training:\n  steps: 3\n  seeds: [0]\n  steps: 4\n", "`steps` on lines 2 and 4"),
        ("teacher: [{size: 1}, {a: 1, a: 2}]", "`a` on lines 1 and 1"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """YAML would take the last, without a word."""
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=f"mine.yaml: has the key {named}; remove one of them"):
        read_configuration([tmp_path / "mine.yaml"])


def test_what_stands_in_for_imagenette_on_the_demo_is_as_small_a_share() -> None:
    overlay = yaml.safe_load(ON_THE_DEMO[-1].read_text())["protocols"]["other_penalty"]
    images = read_configuration([ON_THE_DEMO[0]])["dataset"]["generated"]["pretraining"]
    assert overlay["first"] == images // 100


def test_a_path_that_may_be_left_out_is_written_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOS", "/photos")
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "mine.yaml").write_text(
        "protocols: {other_penalty: {images: other, folder: $PHOTOS/few}}\n"
        "methods: {mine: {label: Mine, command: ~/mine/run}, theirs: {label: Theirs, maps: '$PHOTOS/{category}'}}\n"
    )
    config = read_configuration([tmp_path / "mine.yaml"])
    assert config["protocols"]["other_penalty"]["folder"] == "/photos/few"
    assert config["methods"]["mine"]["command"] == "/home/me/mine/run"
    assert config["methods"]["theirs"]["maps"] == "/photos/{category}"
