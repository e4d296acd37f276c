"""The study of readings: with what each is paired, which one the rule chooses, and how its runs are kept."""

import gzip
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from dfsc.errors import UserError
from dfsc.report.compare import ALL, SAME, SETTINGS, runs_frame
from dfsc.report.paper import write_compared, write_paper_tables
from dfsc.report.study import against_trimming, chosen_reading, halves, missing_cells, write_study
from dfsc.settings.grid import Cell, Grid
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.read_tables import number_of
from support.told_arithmetic import gain_of, value_of
from support.told_runs import CATEGORIES, CELLS, CONFIG, GRID, SEEDS, baseline_of, told_cost, track_told_runs
from support.tracked_grid import metrics_of

READINGS: list[dict[str, Any]] = [
    {"label": "trimming alone", "novel_weight": 0.0},
    {"margin": 2.0, "margin_unit": "threshold"},
    {"label": "trimming alone", "novel_weight": 0.0, "split_unit": "position"},
    {"margin": 1.5, "margin_unit": "threshold", "split_unit": "position"},
    {"novel_weight": 0.0, "autoencoder_loss_over": "all"},
]


def study_grid() -> Grid:
    """Two sizes, one quantile, trimming alone of both units, and what can only equal the baseline."""
    dfsc = {
        "margin": 1.0, "margin_unit": "absolute", "novel_weight": 1.0, "split_unit": "element", "distance": "squared",
        "autoencoder_loss_over": "similar", "novel_loss_over": "novel",
        "quantiles": [0.9], "headline_quantile": 0.9, "ablations": READINGS,
    }  # fmt: skip
    return Grid.from_config(
        {
            "benchmark": "study",
            "dataset": {"source": "generated", "categories": ["a", "b", "c"]},
            "training": {"sizes": ["S", "tiny"], "seeds": [0, 1]},
            "dfsc": dfsc,
        }
    )


def test_a_reading_is_paired_with_the_trimming_of_its_unit_and_size() -> None:
    pairs = {method.name: method.pairs_with for method in against_trimming(study_grid()).methods}
    for size in ("S", "tiny"):
        start = f"dfsc-{size}-q0.9"
        of_elements, of_positions = f"{start}-novel_weight_0.0", f"{start}-novel_weight_0.0-split_unit_position"
        assert {name: pair for name, pair in pairs.items() if f"-{size}-" in name} == {
            of_elements: of_elements,
            start: of_elements,
            f"{start}-margin_2.0-margin_unit_threshold": of_elements,
            of_positions: of_positions,
            f"{start}-margin_1.5-margin_unit_threshold-split_unit_position": of_positions,
            f"{start}-novel_weight_0.0-autoencoder_loss_over_all": of_elements,
        }


def test_the_rule_takes_the_largest_difference_of_those_that_act() -> None:
    grid = study_grid()
    names = [method.name for method in grid.methods if method.size == "tiny"]
    _, default, trimming, elements, _, positions, _ = names
    gains = {default: 0.5, trimming: 0.4, elements: 0.1, positions: 0.2}
    inside = {default: 0.002, trimming: 0.9, elements: 0.3, positions: 0.011}

    def comparison(**changed: float) -> pd.DataFrame:
        rows = [
            {"category": category, "anomaly_type": kind, "method": name, "inside_margin": inside[name],
             "difference": {**gains, **changed}[name] if (category, kind) == (ALL, "mean") else 9.0}
            for category in (ALL, "a") for kind in ("mean", "logical_anomalies") for name in gains
        ]  # fmt: skip
        return pd.DataFrame(rows)

    for changed, wanted in (({}, positions), ({positions: 0.05}, elements), ({positions: float("nan")}, elements)):
        chosen = chosen_reading(comparison(**changed), grid)
        assert chosen and chosen.name == wanted
    assert chosen_reading(comparison().assign(inside_margin=0.0), grid) is None


def test_the_half_that_chooses_has_no_part_in_what_is_reported() -> None:
    choosing, reported = halves(study_grid())
    assert choosing.categories == ["a"] and reported.categories == ["b", "c"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The told runs, tracked: address, and where their receipts lie."""
    root = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        track_told_runs(root / "results/told", f"sqlite:///{root}/mlflow.db")
        yield f"sqlite:///{root}/mlflow.db", root / "results/told"


def made_scores(cell: Cell, attempt: int) -> dict[str, float]:
    """Image scores of a run, others with each attempt."""
    random = np.random.default_rng([ord(cell.category), attempt, len(cell.method)])
    shift = {"good": 0.0, "logical_anomalies": 0.8, "structural_anomalies": 1.2}
    return {f"test/{folder}/{n}.png": random.normal(mean) for folder, mean in shift.items() for n in range(9)}


def made_run(cell: Cell, scores: dict[str, float]) -> dict[str, Any]:
    """A run as it is read back from MLflow."""
    tags = {"category": cell.category, "method": cell.method, "seed": str(cell.seed), "size": "tiny", "commit": "c"}
    tags |= {"hardware": "cpu", **{name: name for name in SAME}}
    metrics = metrics_of(scores) | {"constraint.inside_margin": 0.2}
    return {"run_id": cell.path, "tags": tags, "parameters": {}, "metrics": metrics, "costs": {"seconds": 2.0}}


def test_readings_are_compared_with_trimming_too_and_a_new_run_takes_the_place_of_one_kept(tmp_path: Path) -> None:
    whole, kept, page = study_grid(), tmp_path / "kept", tmp_path / "page.md"
    methods = [method for method in whole.methods if method.size == "tiny"][:3]
    baseline, default, trimming = methods
    grid = replace(whole, categories=["a", "b"], seeds=[0], methods=methods, headlines=[default.name])
    kept.mkdir()
    shutil.copy(CHECKOUT / "docs/stand_in/template.md", kept)
    for attempt in (1, 2):
        scores = {cell.path: made_scores(cell, attempt) for cell in grid.cells()}
        runs = [made_run(cell, scores[cell.path]) for cell in grid.cells()]
        write_compared(runs_frame(runs, grid), scores, grid, tmp_path / "tables")
        write_study(grid, tmp_path / "tables", kept, page)
        values = {run["run_id"]: 100 * run["metrics"]["image_auroc.mean"] for run in runs}
        means = {name: fmean(values[cell.path] for cell in grid.cells() if cell.method == name) for name in grid.names}
        _, of_baseline, of_trimming, _ = page.read_text().split("\n## ", 3)
        for text, other, compared in ((of_baseline, baseline, methods), (of_trimming, trimming, [default, trimming])):
            lines = [line for line in text.splitlines() if line.startswith("| ")]
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
            shown = {row[0]: row for row in rows}
            assert shown.keys() == {method.label for method in compared}
            for method in compared:
                row = shown[method.label]
                assert number_of(row[4]) == pytest.approx(means[method.name], abs=0.0501)
                if method != other:
                    difference = number_of(row[7].partition(" ")[0])
                    assert difference == pytest.approx(means[method.name] - means[other.name], abs=0.0501)


def test_an_interrupted_study_is_completed(
    store: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = {CELLS[0], CELLS[-1]}
    kept, page, parts = tmp_path / "kept", tmp_path / "page.md", {}
    kept.mkdir()
    shutil.copy(CHECKOUT / "docs/stand_in/template.md", kept)
    assert missing_cells(GRID, kept) == list(GRID.cells())
    with pytest.raises(UserError, match="kept: holds no runs yet"):
        write_study(GRID, tmp_path / "none", kept, page)
    for name, cells in (("first", [cell for cell in CELLS if cell not in lacking]), ("second", list(lacking))):
        for cell in cells:
            (tmp_path / name / cell.path).mkdir(parents=True)
            shutil.copy(store[1] / cell.path / "run.json", tmp_path / name / cell.path)
        parts[name] = tmp_path / name / "tables"
        write_paper_tables(store[0], tmp_path / name, GRID, parts[name], partial=True)

    write_study(GRID, parts["first"], kept, page)
    assert {cell.path for cell in missing_cells(GRID, kept)} == {cell.path for cell in lacking}
    assert f"INCOMPLETE: {len(CELLS) - 2} of {len(CELLS)} trainings" in page.read_text()
    assert "Not chosen yet" in page.read_text() and "held out" not in page.read_text()
    shutil.copytree(CHECKOUT / "config", tmp_path / "config")
    (tmp_path / "told.yaml").write_text(yaml.safe_dump(CONFIG))
    capsys.readouterr()
    with chdir(tmp_path):
        assert dfsc("study", "--missing", "--configfile", "told.yaml", "--kept", kept).code == 0
    asked_for = [f"results/told/{cell.path}/run.json" for cell in CELLS if cell in lacking]
    assert capsys.readouterr().out.splitlines() == asked_for
    write_study(GRID, parts["second"], kept, page)
    assert missing_cells(GRID, kept) == []
    whole = page.read_text()
    write_study(GRID, tmp_path / "none", kept, page)
    assert page.read_text() == whole, "what is kept says all"
    hours = sum(told_cost(cell)["seconds"] for cell in CELLS) / 3600
    assert f"{len(GRID.seeds)} seeds; {hours:.1f} hours of training" in whole and f"{hours:.1f}" != "0.0"
    assert f"{len(CELLS)} trainings (complete)" in whole and "commit-of-first, commit-of-second" in whole

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in whole.splitlines() if "DFSC-" in line]
    first = {row[0]: row for row in reversed([row for row in rows if len(row) > 5])}
    for method in GRID.methods:
        if method.is_baseline:
            continue
        row = next(row for label, row in first.items() if label.partition(" (")[0] == method.label)
        for place, column in ((2, "logical_anomalies"), (4, "mean")):
            of_seeds = [value_of("image_auroc", column, ALL, method.name, seed) for seed in SEEDS]
            assert number_of(row[place].partition(" ")[0]) == pytest.approx(100 * sum(of_seeds) / 3, abs=0.0501)
            gains = [gain_of("image_auroc", column, ALL, method.name, seed) for seed in SEEDS]
            gain = number_of(row[place + 3].partition(" ")[0])
            assert gain == pytest.approx(100 * sum(gains) / 3, abs=0.0501), method.name
    assert f"Chosen on {CATEGORIES[0]}: **" in whole and f"held out ({CATEGORIES[1]}):" in whole
    (chosen,) = (method.name for method in GRID.methods if f": **{method.label}**." in whole)
    for category in CATEGORIES:  # the one that chose, and the one held out
        _, _, table = whole.partition(f"({category}):\n\n")
        of_half = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:4]]
        for row, name in zip(of_half, (baseline_of(chosen), chosen), strict=True):
            of_seeds = [value_of("image_auroc", "mean", category, name, seed) for seed in SEEDS]
            assert number_of(row[4].partition(" ")[0]) == pytest.approx(100 * sum(of_seeds) / 3, abs=0.0501), category

    readings = {method.label for method in GRID.methods if not method.is_baseline}
    for heading, told in re.findall(r"^- (\w+): (.*)\.$", whole.partition("## Against trimming")[0], re.MULTILINE):
        *named, counted = told.split(". ")
        better, worse = (set(part.partition(": ")[2].split("; ")) - {"none"} for part in named)
        neither = readings - better - worse
        assert counted == f"*not decided*: {len(neither)} of {len(readings)}", heading
        place = {"logical": 5, "structural": 6, "mean": 7}[heading]
        for label in readings:
            row = next(row for name, row in first.items() if name.partition(" (")[0] == label)
            low, high = map(number_of, re.findall(r"\[(.*), (.*)\]", row[place])[0])
            assert (label in better, label in worse) == (low > 0, high < 0), (label, heading)

    text = (kept / "runs.csv").read_text()
    for name in ("code_digest", SETTINGS):
        runs = pd.read_csv(kept / "runs.csv", dtype=str, keep_default_na=False)
        runs.loc[0, name] = "another"
        runs.to_csv(kept / "runs.csv", index=False)
        with pytest.raises(UserError, match=f"differ in {name}"):
            write_study(GRID, tmp_path / "none", kept, page)
        (kept / "runs.csv").write_text(text)
    (kept / "scores.csv.gz").write_bytes(gzip.compress(b"category,method\n"))
    with pytest.raises(UserError, match=r"scores.csv.gz: .*kept image scores"):
        write_study(GRID, tmp_path / "none", kept, page)
    assert page.read_text() == whole
