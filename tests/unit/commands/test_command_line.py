"""Every subcommand, found by walking the app, meets junk in each of its arguments: one line, and nothing is written."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

from dfsc.cli import app
from dfsc.commands.options import configuration, labelled
from dfsc.settings.grid import CELL_FILES, Grid
from support.checkout import CHECKOUT
from support.command_line import Outcome, dfsc
from support.prepared import DFSC, GENERATED, TEACHER, Prepared

METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
GRID = Grid.from_config(
    {
        "benchmark": "made",
        "dataset": {"source": "generated", "categories": ["coin_tray"]},
        "training": {"sizes": ["tiny"], "seeds": [0]},
        "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "ablations": []},
    }
)
assert GRID.names == list(METHODS)
TRACKED = ("training.json", "metrics.json", "training_curve.csv", "model.pt", "scores.csv")


def leaves(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """'teacher import' -> its command, for every subcommand of the app."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *names, name)
        else:
            yield " ".join((*names, name)), command


COMMANDS = dict(leaves(typer.main.get_command(app)))


@dataclass
class Made:
    """A finished benchmark of two models, of a few steps each, and what else the subcommands read."""

    prepared: Prepared
    root: Path

    def model(self, method: str, file: str) -> Path:
        """A file of a model."""
        return self.root / "results/made/coin_tray" / method / "seed0" / file

    def values(self, command: str, out: Path) -> dict[str, Any]:
        """Arguments with which a subcommand succeeds, writing below `out`; by parameter."""
        data, dataset, category = self.prepared.root, self.prepared.dataset, self.prepared.category
        place = {"dataset": dataset, "category": category}
        images = {"pretraining_index": data / "index", "pretraining_folder": dataset / "pretraining"}
        training = {**images, "checkpoints": out / "checkpoints", "device": "cpu"}
        first, second = (self.model(method, "model.pt") for method in METHODS)
        tables, uri = self.root / "results/made/tables", f"sqlite:///{self.root}/mlflow.db"
        cell = {"manifest": self.prepared.manifest(), "seed": "0", "scores": out / "scores.csv",
                "maps": out / "maps.npz", "record": out / "method.json"}  # fmt: skip
        of_each: dict[str, dict[str, Any]] = {
            "synthesize": {"output": out / "data", "settings": json.dumps({**GENERATED, "train": 1})},
            "fetch": {"name": "own", "sources": self.root / "sources.yaml"},
            "arrange": {"folder": self.root / "mvtec_ad/coins", "layout": "mvtec_ad", "output": out / "arranged",
                        "split": '{"validation": 0.5, "test": 0, "seed": 0}'},
            "manifest": {**place, "output": out / "manifest.csv", "published": self.root / "published.csv"},
            "index": {"folder": dataset / "pretraining", "source": "generated", "output": out / "index"},
            "teacher pretrain": {**training, "settings": json.dumps(TEACHER), "output": out / "teacher.pt",
                                 "curve": out / "teacher.csv", "record": out / "teacher.json"},
            "teacher import": {"file": self.root / "small.pth", "size": "S", "output": out / "teacher.pt",
                               "record": out / "teacher.json", "sha256": (self.root / "small.pth.sha256").read_text()},
            "teacher track": {"teacher": data / "teacher.pt", "uri": uri, "benchmark": "made",
                              "output": out / "run.json"},
            "train": {**training, **place, "settings": self.root / "settings.yaml", "output": out / "model.pt",
                      "curve": out / "curve.csv", "distances": out / "distances.npz", "record": out / "training.json",
                      "manifest": self.prepared.manifest(), "teacher": data / "teacher.pt"},
            "score": {**place, "model": first, "settings": '{"padding": "zero", "precision": "float32"}',
                      "manifest": self.prepared.manifest(), "scores": out / "scores.csv", "maps": out / "maps.npz",
                      "full_size_maps": out / "maps", "device": "cpu"},
            "speed": {"size": "tiny", "image_size": 64, "settings": '{"padding": "zero", "precision": "float32"}',
                      "output": out / "speed.json", "device": "cpu"},
            # Three validation images promise no rate below 25 %; at 30 % all of them are accepted.
            "predict": {"model": first, "images": [dataset / category / "validation/good"], "output": out / "verdicts",
                        "false_alarm_rate": 0.3, "device": "cpu"},
            "export": {"model": first, "output": out / "model.onnx", "false_alarm_rate": 0.3,
                       "check": [dataset / category / "validation/good"]},
            "evaluate": {**place, "maps": self.model(METHODS[0], "maps.npz"), "output": out / "metrics.json"},
            "track": {"files": [first.with_name(name) for name in TRACKED], "uri": uri, "experiment": "made",
                      "category": category, "method": METHODS[0], "output": out / "run.json"},
            "pair": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"], "uri": uri,
                     "results": tables.parent, "output": out / "pairs.json"},
            "tables": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"], "uri": uri,
                       "results": tables.parent, "output": out / "tables"},
            "merge": {"results": [tables.parent], "output": out / "merged"},
            "study": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"],
                      "kept": self.root / "kept", "output": out / "study.md"},
            "compare": {"results": tables.parent, "metric": "image_auroc", "method": METHODS[1]},
            "auroc-over-quantile": {"tables": tables, "output": out / "auroc_over_quantile"},
            "histograms": {"tables": tables, "output": out / "histograms"},
            "heatmaps": {**place, "maps": [self.model(METHODS[0], "maps.npz")], "label": ["EfficientAD"],
                         "output": out / "heatmaps", "images": ["test/good/000.png"]},
            "what-changed": {**place, "tables": tables, "method": METHODS[1], "output": out / "changed",
                             "maps": [self.model(method, "maps.npz") for method in METHODS]},
            "page": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"],
                     "results": tables.parent, "dataset": dataset, "output": out / "page"},
            "novelty": {**place, "models": [first, second], "label": ["EfficientAD", "DFSC"], "quantiles": "0.9",
                        "output": out / "novelty"},
            "novelty-over-training": {"distances": [self.model(method, "feature_distances.npz") for method in METHODS],
                                      "label": ["EfficientAD", "DFSC"], "quantiles": "0.9,0.99",
                                      "output": out / "novelty", "title": "coins"},
            "method new": {"name": "fresh", "folder": out},
            "method check": {"name": "mine", "folder": self.root / "methods"},
            "method run": {**cell, **place, "command": self.root / "methods/mine/run",
                           "manifest": [self.prepared.manifest()]},
            "method import": {**cell, "folder": self.root / "full size/coin_tray"},
            "method control": {**cell, **place, "name": "oracle"},
            "show": {"results": tables.parent},
            "status": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"]},
            "estimate": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"],
                         "steps": 1, "seconds": 0, "device": "cpu"},
            "doctor": {"configfile": [self.root / "grid.yaml"], "more": [self.root / "grid.yaml"],
                       "profile": CHECKOUT / "profiles/workstation", "device": "cpu"},
        }  # fmt: skip
        return of_each[command]

    def run(self, command: str, values: dict[str, Any]) -> Outcome:
        """Run a subcommand in the benchmark's folder."""
        arguments: list[object] = []
        positional: list[object] = []
        for parameter in COMMANDS[command].params:
            if parameter.name not in values:
                continue
            value = values[parameter.name]
            several = value if isinstance(value, list) else [value]
            if parameter.param_type_name == "argument":
                positional += several
            else:
                arguments += [text for one in several for text in (parameter.opts[0], one)]
        before = Path.cwd()
        os.chdir(self.root)
        try:
            return dfsc(*command.split(), *arguments, *positional)
        finally:
            os.chdir(before)


@pytest.fixture(scope="module")
def made(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The finished benchmark."""
    import yaml

    from dfsc.files import sha256_of
    from dfsc.model.networks import SIZES, pdn
    from support.prepared import TRAINING

    made = Made(prepared, tmp_path_factory.mktemp("made"))
    root, images = made.root, prepared.dataset / prepared.category
    torch.save(pdn(SIZES["S"], SIZES["S"].output).state_dict(), root / "small.pth")
    (root / "small.pth.sha256").write_text(sha256_of(root / "small.pth").upper())
    (root / "settings.yaml").write_text(yaml.safe_dump({**TRAINING, "steps": 1}))
    shutil.copytree(CHECKOUT / "config", root / "config")
    (root / "kept").mkdir()
    shutil.copy(CHECKOUT / "docs/stand_in/template.md", root / "kept")
    config = yaml.safe_load((CHECKOUT / "tests/smallest.yaml").read_text())
    (root / "grid.yaml").write_text(yaml.safe_dump({**config, "benchmark": "made"}))
    source = {"address": str(root / "note.txt"), "output": "fetched.txt", "unpack": False, "licence": "none"}
    (root / "note.txt").write_text("what is fetched")
    source["sha256"] = sha256_of(root / "note.txt").upper()
    (root / "sources.yaml").write_text(yaml.safe_dump({"sources": {"own": source}}))
    counts = ",".join(str(GENERATED[name]) for name in ("train", "validation", "test_good", "logical", "structural"))
    head = (CHECKOUT / "config/mvtec_loco.csv").read_text().splitlines()[0]
    (root / "published.csv").write_text(f"{head}\ncoin_tray,320,240,{counts}\n")
    for folder in ("train/good", "test/good"):
        shutil.copytree(images / folder, root / "mvtec_ad/coins" / folder)
    for number in range(6, 10):
        shutil.copy(images / "train/good/000.png", root / f"mvtec_ad/coins/train/good/{number:03}.png")
    shutil.copytree(images / "test/structural_anomalies", root / "mvtec_ad/coins/test/damaged")
    for masks in (images / "ground_truth/structural_anomalies").iterdir():
        mask = root / f"mvtec_ad/coins/ground_truth/damaged/{masks.name}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(masks / "000.png", mask)
    for method, reading in zip(METHODS, (None, DFSC), strict=True):
        output = made.model(method, "")
        settings = json.dumps({**TRAINING, "steps": 3, "dfsc": reading})
        files = {"output" if name == "model" else name: output / file for name, file in CELL_FILES["train"].items()}
        trained = {**made.values("train", output), "settings": settings, **files}
        scored = {**made.values("score", output), "model": output / "model.pt"}
        scored["full_size_maps"] = root / "full size"
        steps = {
            "train": trained,
            "score": scored,
            "evaluate": {**made.values("evaluate", output), "maps": output / "maps.npz"},
            "track": {**made.values("track", output), "files": [output / name for name in TRACKED], "method": method},
        }
        for command, values in steps.items():
            outcome = made.run(command, values)
            assert outcome.code == 0, outcome.errors
    begun = {"method new": {"name": "mine", "folder": root / "methods"}}
    for command, values in begun.items():
        outcome = made.run(command, values)
        assert outcome.code == 0, outcome.errors
    tables = made.values("tables", root / "results/made")
    del tables["configfile"], tables["more"]  # as the workflow calls it
    outcome = made.run("tables", {**tables, "grid": GRID.as_text()})
    assert outcome.code == 0, outcome.errors
    return made


def assert_one_line(outcome: Outcome, out: Path) -> None:
    """Exit code 1 or 2, one line without a traceback, nothing written below `out`."""
    assert outcome.code in (1, 2), outcome
    assert re.fullmatch(r"dfsc: [^\n]+\n", outcome.errors), outcome.errors
    assert not list(out.rglob("*")), outcome.errors


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_succeeds_on_what_it_is_for(command: str, made: Made, tmp_path: Path) -> None:
    outcome = made.run(command, made.values(command, tmp_path))
    assert outcome.code == 0, outcome.errors


@pytest.mark.parametrize(
    "command", [name for name, parsed in COMMANDS.items() if any(one.name == "threads" for one in parsed.params)]
)
def test_a_command_computes_with_the_threads_that_it_is_given(command: str, made: Made, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        outcome = made.run(command, {**made.values(command, tmp_path), "threads": 3})
        assert (outcome.code, torch.get_num_threads()) == (0, 3), outcome.errors
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def junk(made: Made) -> dict[str, Path]:
    """Files that are never what is wanted."""
    folder = made.root / "junk"
    (folder / "a folder/in it").mkdir(parents=True)
    maps = made.model(METHODS[0], "maps.npz").read_bytes()
    contents = {
        "empty": b"", "note.txt": b"Dear all,\nthe maps are on the other disk.\n", "cut.npz": maps[: len(maps) // 2],
        "other.json": b'{"a": 1}', "list.yaml": b"- 1\n- a: [2]\n", "binary.pt": bytes(range(256)) * 9,
        "numbers.json": b"[1, 2, null]", "latin.csv": "größe,wert\n1,ä\n".encode("latin-1"),
        "key.yaml": b"{1: {null: []}}\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    np.save(folder / "array.npy", np.zeros((3, 3)))
    return {name: folder / name for name in (*contents, "array.npy", "a folder", "missing", "missing/below")}


SHARED = {("train", "kept"), ("score", "kept")}  # what cannot be used of it is named, and not needed
OUTPUTS = {"output", "curve", "record", "scores", "checkpoints", "full_size_maps", "curves", "progress"}
TEXTS = ("", "a/b", "-1", "0.9;0.99", "XL", "gpu", "cuda:0", "x" * 300, "two\nlines", os.fsdecode(b"\xff.png"), "../..")


def is_output(command: str, name: str) -> bool:
    """Whether a parameter says where to write."""
    others = (("score", "maps"), ("train", "distances"), ("method new", "folder"))
    of_all = name in OUTPUTS and (command, name) != ("evaluate", "scores")
    return of_all or (command, name) in others or (command.startswith("method ") and name == "maps")


def parameters(kind: str) -> list[tuple[str, str]]:
    """(subcommand, parameter) of all that are paths to read, places to write, or any other text."""
    found = []
    for command, parsed in COMMANDS.items():
        for parameter in parsed.params:
            path = "Path" in str(parameter.type_descriptor.annotation) or parameter.name in ("settings", "grid")
            if (command, parameter.name) in SHARED:
                continue
            of_kind = "output" if is_output(command, parameter.name) else "path" if path else "text"
            if of_kind == kind and parameter.name != "help" and not getattr(parameter, "is_flag", False):
                found.append((command, parameter.name))
    return found


@pytest.mark.parametrize(("command", "name"), parameters("path"))
def test_junk_to_read(command: str, name: str, made: Made, junk: dict[str, Path], tmp_path: Path) -> None:
    for label, path in junk.items():
        values = made.values(command, tmp_path)
        if name == "worst":  # in place of images that are named
            del values["images"]
        value = [path, *values[name][1:]] if isinstance(values.get(name), list) else path
        outcome = made.run(command, {**values, name: value})
        if label in ("empty", "a folder", "missing") or outcome.code:
            assert_one_line(outcome, tmp_path)
        else:
            pytest.fail(f"{command} accepts {label} as {name}")


@pytest.mark.parametrize(("command", "name"), parameters("output"))
@pytest.mark.parametrize("place", ["note.txt/below", "note.txt/far/below", "/proc/none/below"])
def test_a_place_that_cannot_be_written(command: str, name: str, place: str, made: Made, tmp_path: Path) -> None:
    values = {**made.values(command, tmp_path), name: made.root / place}
    if name in ("checkpoints", "progress"):
        return  # checkpoints are written at intervals, and these trainings end before; without progress, one goes on
    outcome = made.run(command, values)
    assert outcome.code == 2 and re.fullmatch(r"dfsc: [^\n]+\n", outcome.errors), outcome


@pytest.mark.parametrize("place", ["note.txt/below", "junk"])
def test_a_place_is_tried_before_anything_is_computed(
    place: str, made: Made, junk: dict[str, Path], tmp_path: Path
) -> None:
    values = {**made.values("teacher pretrain", tmp_path), "checkpoint_seconds": 0}
    outcome = made.run("teacher pretrain", {**values, "output": made.root / place})
    assert_one_line(outcome, tmp_path)
    assert f"{made.root / place}: cannot be written (" in outcome.errors


@pytest.mark.parametrize(("command", "name"), parameters("text"))
def test_junk_text(command: str, name: str, made: Made, tmp_path: Path) -> None:
    images = (command, name) in (("predict", "images"), ("export", "check"))
    for number, text in enumerate(TEXTS):
        if images and text == "../..":
            continue  # a folder like any other, which may hold images
        out = tmp_path / str(number)
        out.mkdir()
        values = made.values(command, out)
        outcome = made.run(command, {**values, name: [text] if isinstance(values.get(name), list) else text})
        if outcome.code:
            assert_one_line(outcome, out)


# What each file of ours is read by: the subcommand, and the file among those of `Made`; and what it should be.
READERS = [
    ("score", "manifest", "{manifest}", "a manifest"),
    ("train", "manifest", "{manifest}", "a manifest"),
    ("train", "pretraining_index", "{index}", "an index of pretraining images"),
    ("train", "teacher", "{teacher}", "a teacher"),
    ("train", "teacher", "{record}", "the record of a teacher"),
    ("teacher track", "teacher", "{record}", "the record of a teacher"),
    ("teacher track", "teacher", "{curve}", "a training curve"),
    ("score", "model", "model.pt", "a trained model"),
    ("predict", "model", "model.pt", "a trained model"),
    ("export", "model", "model.pt", "a trained model"),
    ("evaluate", "maps", "maps.npz", "an archive of anomaly maps"),
    ("evaluate", "scores", "scores.csv", "image scores"),
    ("novelty-over-training", "distances", "feature_distances.npz", "the feature distances of a training"),
    ("track", "files", "training.json", "the record of a training, or of a run"),
    ("track", "files", "metrics.json", "metrics"),
    ("track", "files", "training_curve.csv", "a training curve"),
    ("tables", "results", "run.json", "a receipt"),
    ("compare", "results", "tables/runs.csv", "the table of runs"),
    ("compare", "results", "tables/comparison.csv", "the comparison"),
    ("compare", "results", "tables/grid.json", "the grid of tables"),
    ("show", "results", "tables/comparison.csv", "the comparison"),
    ("auroc-over-quantile", "tables", "tables/comparison.csv", "the comparison"),
    ("histograms", "tables", "tables/scores.csv", "the image scores"),
]


@pytest.mark.parametrize(("command", "name", "file", "what"), READERS, ids=str)
def test_a_damaged_file_of_ours_is_named(
    command: str, name: str, file: str, what: str, made: Made, tmp_path: Path
) -> None:
    """Cut short by a full disk or a kill, emptied, overwritten, or gone."""
    data, results = made.prepared.root, made.root / "results/made"
    own = {"manifest": made.prepared.manifest(), "index": data / "index", "teacher": data / "teacher.pt"}
    own |= {"record": data / "teacher.json", "curve": data / "teacher.csv"}
    source = results / file if file.startswith("tables/") else made.model(METHODS[0], file.format(**own))
    folder = results if command == "tables" or file.startswith("tables/") else source.parent
    copied = Path(shutil.copytree(folder, tmp_path / "copy" / folder.name, copy_function=os.link))
    damaged, whole = copied / source.relative_to(folder), source.read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    given = {"files": [copied / name for name in TRACKED], "results": copied, "tables": copied / "tables"}
    beside = {"record": copied / "teacher.pt", "curve": copied / "teacher.pt"}
    value = given.get(name) or beside.get(file.strip("{}"), damaged)
    for content in (whole[: len(whole) // 2], whole[:-1], b"", b"\xff\xfe\x00\x01", None):
        if content == whole[:-1] and source.suffix in (".json", ".pt", ".npz"):
            continue  # of JSON the last byte ends a line; an archive's last byte is not read
        damaged.unlink(missing_ok=True)
        if content is not None:
            damaged.write_bytes(content)
        values = made.values(command, out)
        if isinstance(values.get(name), list) and not isinstance(value, list):
            value = [value, *values[name][1:]]
        outcome = made.run(command, {**values, name: value})
        assert_one_line(outcome, out)
        # Where a receipt is gone, a run is.
        named = str(damaged.parent.relative_to(copied) if command == "tables" and content is None else damaged)
        assert named in outcome.errors, outcome.errors
        said = "delete it" not in outcome.errors if content is None else f"cannot be read as {what}" in outcome.errors
        assert said, outcome.errors
        assert "allow_pickle" not in outcome.errors and "weights_only" not in outcome.errors, outcome.errors


@pytest.mark.parametrize("command", ["heatmaps", "novelty", "novelty-over-training"])
def test_labels_are_one_for_each_file(command: str, made: Made, tmp_path: Path) -> None:
    values = made.values(command, tmp_path)
    files = {"heatmaps": "maps", "novelty": "models", "novelty-over-training": "distances"}[command]
    (name,) = {path.name for path in values[files]}
    values[files] = [made.model(method, name) for method in METHODS]
    for labels in (["one"], ["one", "two", "three"], ["twice", "twice"]):
        outcome = made.run(command, {**values, "label": labels})
        assert_one_line(outcome, tmp_path)
        assert f"--label: {len(set(labels))} labels for 2 files" in outcome.errors
    del values["label"]
    assert made.run(command, values).code == 0
    outcome = made.run(command, {**values, files: values[files][:1] * 2, "output": tmp_path / "none/figure"})
    assert_one_line(outcome, tmp_path / "none")


def test_a_configuration_is_laid_over_the_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    files = [tmp_path / f"{name}.yaml" for name in ("first", "second", "third")]
    for file in files:
        file.write_text(f"benchmark: {file.stem}")
    assert configuration(files[:1], files[1:])["benchmark"] == "third"
    assert configuration(files[:1], None)["benchmark"] == "first"


def test_a_file_without_a_label_is_called_by_its_path() -> None:
    files = [Path("a/maps.npz"), Path("b/maps.npz")]
    assert labelled(files, None) == {"a/maps.npz": files[0], "b/maps.npz": files[1]}
    assert list(labelled(files, ["second", "first"]).items()) == [("second", files[0]), ("first", files[1])]


@pytest.mark.parametrize("left_out", TRACKED[:3])
def test_a_run_is_not_tracked_without_what_it_is_made_of(made: Made, tmp_path: Path, left_out: str) -> None:
    values = made.values("track", tmp_path)
    files = [path for path in values["files"] if path.name != left_out]
    outcome = made.run("track", {**values, "files": files})
    assert_one_line(outcome, tmp_path)
    assert outcome.errors.startswith(f"dfsc: {left_out}: is not among the files")


def test_every_command_that_a_text_names_is_there() -> None:
    """`dfsc ...` in code, help, documentation and rules, resolved against the app."""
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    texts = [
        *(path for folder in ("dfsc", "docs", "workflow", "config", "profiles", "scripts", "benchmarks")
          for path in sorted((CHECKOUT / folder).rglob("*"))
          if path.suffix in (".py", ".md", ".smk", ".yaml", ".rst", "")),
        *(CHECKOUT / name for name in ("README.md", "Snakefile", "Makefile", "dvc.yaml", "apptainer.def")),
    ]  # fmt: skip
    named = [
        (path, found[1], found[2])
        for path in texts
        if path.is_file()
        for found in re.finditer(r"(?:[`\"']|^\s*|&& |\| |@)dfsc ([a-z][a-z-]*)(?: ([a-z-]+))?", path.read_text(), re.M)
    ]
    assert len({first for _, first, _ in named}) > 10, "the texts name commands at all"
    for path, first, second in named:
        command = f"{first} {second}" if first in groups else first
        assert command in COMMANDS, f"{path}: dfsc {command}"
