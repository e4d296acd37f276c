"""Methods from outside in a configuration: what does not fit is one line that names the key."""

from pathlib import Path

import pytest

from dfsc.errors import UserError
from dfsc.settings.constraint import equal_models
from dfsc.settings.grid import Grid
from dfsc.settings.reading import read_configuration
from support.checkout import CHECKOUT


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ("{m: {label: M}}", "methods.m: needs either `command` or `maps`"),
        ("{m: {label: M, command: a, maps: b}}", "methods.m: needs either `command` or `maps`"),
        ("{m: {label: M, command: a, pairs_with: x}}", "methods.m.pairs_with: x is no baseline; there are eff"),
        ("{random: {label: M, command: a}}", "methods.random: is the name of a control"),
        ("{m: {label: M, maps: 'a/{seed}'}}", "methods.m.maps: must contain {category}, since there are 5"),
        ("{m: {label: M, maps: '{category}/{x}'}}", "methods.m.maps: {x} stands for nothing"),
        ("{m: {label: M, maps: '{category}', seeds: true}}", "methods.m.seeds: is for a `command`"),
        ("{m: {label: EfficientAD-S, command: x}}", "methods: efficientad-S and m are both shown as EfficientAD-S"),
        ("{m: {lable: M, command: x}}", "methods.m.lable: unknown key; the keys there are label, command, maps"),
        ("{my-m: {label: M, command: x}}", "methods.my-m: 'my-m' must match"),
        ("{_m: {label: M, command: x}}", "methods._m: '_m' must match"),
        (f"{{{'m' * 41}: {{label: M, command: x}}}}", f"methods.{'m' * 41}: '{'m' * 41}' must match"),
        ("{1: {label: M, command: x}}", "methods: YAML reads a key there as 1, no text; name it otherwise"),
        ("{yes: {label: M, command: x}}", "methods: YAML reads a key there as True, no text"),
        ("{null: {label: M, command: x}}", "methods: YAML reads a key there as None, no text"),
        ("{m: {label: M, command: x, 2: y}}", "methods.m: YAML reads a key there as 2, no text"),
        ("{'1': {label: M, command: x}}", "methods.1: YAML reads this name as no text; choose another"),
        ("{m: {label: M, command: x, runtime: 0}}", "methods.m.runtime: 0 must be greater than"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, methods: str, told: str) -> None:
    monkeypatch.chdir(CHECKOUT)
    (tmp_path / "outside.yaml").write_text(f"methods: {methods}\n")
    with pytest.raises(UserError) as refused:
        read_configuration([tmp_path / "outside.yaml"])
    assert str(refused.value).startswith(f"config: {told}")


def test_keys_in_lists_are_text_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    (tmp_path / "outside.yaml").write_text("dfsc: {ablations: [{on: 1}]}\n1: 2\n")
    with pytest.raises(UserError, match=r"^config: dfsc.ablations.0: YAML reads a key there as True"):
        read_configuration([tmp_path / "outside.yaml"])
    (tmp_path / "outside.yaml").write_text("1: 2\n")
    with pytest.raises(UserError, match=r"^config: top level: YAML reads a key there as 1"):
        read_configuration([tmp_path / "outside.yaml"])


def test_a_method_is_compared_with_the_baseline_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    (tmp_path / "outside.yaml").write_text(
        "methods: {named: {label: A, command: a, pairs_with: efficientad-M}, not_named: {label: B, command: b}}\n"
    )
    grid = Grid.from_config(read_configuration([tmp_path / "outside.yaml"]))
    assert [method.name for method in grid.baselines] == ["efficientad-S", "efficientad-M"]
    assert [grid.pair(name)[0].name for name in ("named", "not_named")] == ["efficientad-M", "efficientad-S"]


def test_the_methods_that_come_along_are_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    grid = Grid.from_config(read_configuration([Path("config/demo.yaml"), Path("config/methods.yaml")]))
    outside = [method for method in grid.methods if method.is_outside]
    assert [method.name for method in outside] == ["patchcore", "padim_anomalib", "random", "oracle"]
    assert not [line for line in equal_models(grid) if "oracle" in line or "patchcore" in line]
    for folder in (CHECKOUT / "methods").glob("*/run"):
        assert sum(len(file.read_text().splitlines()) for file in (folder, folder.with_name("method.py"))) <= 80
