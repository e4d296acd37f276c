"""Tables and figures of data that lack an anomaly type, of names like '01', 'null' or 'R&D', and of damaged files."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from dfsc.files import write_json
from dfsc.metrics.auroc import auroc
from dfsc.report.compare import ALL
from dfsc.report.paper import read_image_scores, read_paper_tables, write_paper_tables
from dfsc.report.store import tracking_client
from dfsc.report.table_files import latex
from dfsc.report.tracking import TrackedRun, track_run
from dfsc.settings.grid import Grid
from support.command_line import dfsc
from support.figures import check_figure

TYPES = ("logical_anomalies", "structural_anomalies")
BASELINE, DFSC = METHODS = ["efficientad-tiny", "dfsc-tiny-q0.9"]
SEEDS = [0, 1]
LIMITS = ("0.01", "0.05", "0.1", "0.3", "1.0")


def track(store: Path, results: Path, category: str, types: Sequence[str], method: str, seed: int, masks: bool) -> None:
    """Track a run of made-up scores with the metrics that they give; write its receipt below `results`."""
    random = np.random.default_rng([len(category), seed, METHODS.index(method)])
    shift = {"good": 0.0, "logical_anomalies": 0.8, "structural_anomalies": 1.2}
    scores = {name: random.normal(shift[name], 1, 12) for name in ("good", *types)}
    by_type = {name: auroc(scores["good"], scores[name]) for name in types}
    by_type["mean"] = float(np.mean(list(by_type.values())))
    metrics = {f"image_auroc.{name}": value for name, value in by_type.items()}
    if masks:
        metrics |= {f"au_spro_{limit}.{name}": value / 2 for limit in LIMITS for name, value in by_type.items()}
    lines = [f"test/{name}/{n:03}.png,{float(v)!r}\n" for name, values in scores.items() for n, v in enumerate(values)]
    file = store.parent / "scores.csv"
    file.write_text("path,image_score\n" + "".join(lines))
    cell = f"{category}/{method}/seed{seed}"
    tags = {"category": category, "method": method, "seed": str(seed), "size": "tiny", "commit": "unknown (no git)",
            "hardware": "cpu", "data_digest": "0" * 64, "teacher_digest": "0012", "code_digest": "1e5",
            "penalty_digest": "null", "pretraining_images": "R&D <photos> (3 images)"}  # fmt: skip
    costs = {"seconds": 2.0, "gpu_seconds": 0.0, "peak_memory_bytes": 1e9}
    run = TrackedRun(cell, cell, tags, {"steps": 3}, [], metrics, {file: ""}, costs)
    write_json(results / cell / "run.json", track_run(f"sqlite:///{store}", "benchmark", run))


@lru_cache
def empty_store() -> bytes:
    """A store whose tables are made: making them takes seconds."""
    with TemporaryDirectory() as folder:
        with tracking_client(f"sqlite:///{folder}/mlflow.db"):
            pass
        return Path(folder, "mlflow.db").read_bytes()


def tables_of(folder: Path, categories: Mapping[str, Sequence[str]], masks: bool = True) -> Path:
    """The tables of categories that have these anomaly types; `results/x/tables`, as the workflow writes them."""
    store, results = folder / "mlflow.db", folder / "x"
    store.write_bytes(empty_store())
    grid = Grid.from_config(
        {
            "benchmark": "x",
            "dataset": {"source": "folder", "categories": list(categories)},
            "training": {"sizes": ["tiny"], "seeds": SEEDS},
            "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "ablations": []},
        }
    )
    for cell in grid.cells():
        track(store, results, cell.category, categories[cell.category], cell.method, int(cell.seed), masks)
    write_paper_tables(f"sqlite:///{store}", results, grid, results / "tables")
    return results / "tables"


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of three categories of which two lack an anomaly type; the first lacks the first."""
    categories = {"bolts": TYPES[1:], "cups": TYPES, "nuts": TYPES[:1]}
    return tables_of(tmp_path_factory.mktemp("lacking"), categories)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of categories whose names look like something else."""
    names = ("01", "null", "1e5", "NA", "True", "R&D_#1 <b> | {y}~^\\$%")
    return tables_of(tmp_path_factory.mktemp("odd"), dict.fromkeys(names, TYPES))


def draw_and_print(tables: Path, output: Path) -> None:
    """Everything that is made from tables."""
    for command, method in (("auroc-over-quantile", BASELINE), ("histograms", DFSC)):
        outcome = dfsc(command, "--tables", tables, "--output", output / command)
        assert outcome.code == 0, outcome.errors
        check_figure(output / f"{command}_{method}")
    for arguments in (["show"], ["show", "--operating-points"], ["compare"], ["compare", "--metric", "au_spro_0.05"]):
        outcome = dfsc(arguments[0], tables.parent, *arguments[1:])
        assert outcome.code == 0, outcome.errors


def test_what_was_not_measured_is_an_empty_cell(lacking: Path, tmp_path: Path) -> None:
    runs, comparison, _ = read_paper_tables(lacking)
    comparison = comparison.set_index(["category", "method", "anomaly_type", "metric"])
    runs = runs.set_index(["category", "method", "seed"])
    assert np.isnan(runs.loc[("bolts", BASELINE, 0), "image_auroc.logical_anomalies"])
    for category, has, lacks in (("bolts", *TYPES[::-1]), ("nuts", *TYPES)):
        row = comparison.loc[(category, DFSC, has, "image_auroc")]
        assert row["low"] < row["difference"] < row["high"]
        pd.testing.assert_series_equal(row, comparison.loc[(category, DFSC, "mean", "image_auroc")], check_names=False)
        assert (category, DFSC, lacks, "image_auroc") not in comparison.index
    for name in TYPES:
        assert (ALL, DFSC, name, "image_auroc") not in comparison.index
    everything = comparison.loc[(ALL, DFSC, "mean", "image_auroc"), "value"]
    assert everything == pytest.approx(runs.xs(DFSC, level="method")["image_auroc.mean"].mean())
    assert not comparison[["value", "difference"]].xs(DFSC, level="method").isna().any(axis=None)

    for table in ("table1_image_auroc", "table3_quantiles"):
        text = (lacking / f"{table}.md").read_text()
        assert "bolts has no logical anomalies; nuts has no structural anomalies" in text
        head, *rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:] if "---" not in line
        ]
        order = [head.index(name) for name in ("logical", "structural", "mean")]
        assert order == sorted(order)
        shown = {
            row[0]: [row[place] != "not measured" for place in order]
            for row in rows
            if row[1] == "EfficientAD-tiny" and "±" in row[order[2]]
        }
        assert shown == {
            "bolts": [False, True, True], "cups": [True] * 3, "nuts": [True, False, True], ALL: [False, False, True],
        }  # fmt: skip
    draw_and_print(lacking, tmp_path)


@pytest.mark.parametrize("types", [TYPES, TYPES[1:]], ids=["both", "structural"])
def test_data_without_masks_have_tables_of_image_scores(tmp_path: Path, types: Sequence[str]) -> None:
    tables = tables_of(tmp_path, {"bolts": types}, masks=False)
    assert set(read_paper_tables(tables)[1]["metric"]) == {"image_auroc"}
    for command in ("auroc-over-quantile", "histograms", "show"):
        options = [tables.parent] if command == "show" else ["--tables", tables, "--output", tmp_path / command]
        outcome = dfsc(command, *options)
        assert outcome.code == 0, outcome.errors
    assert dfsc("show", tables.parent, "--operating-points").code == 0
    for name in ("table5_operating_points", "table6_defects"):
        assert "| not measured" in (tables / f"{name}.md").read_text()
    refused = dfsc("compare", tables.parent, "--metric", "au_spro_0.05")
    assert refused.code == 2 and "no au_spro_0.05" in refused.errors


def test_names_stay_what_they_are(odd: Path, tmp_path: Path) -> None:
    runs, comparison, context = read_paper_tables(odd)
    assert list(dict.fromkeys(runs["category"])) == context.grid.categories
    assert set(comparison["category"]) == {*context.grid.categories, ALL}
    assert set(runs["teacher_digest"]) == {"0012"} and set(runs["code_digest"]) == {"1e5"}
    assert set(read_image_scores(odd)["category"]) == set(context.grid.categories)
    draw_and_print(odd, tmp_path)


def test_names_are_escaped_in_every_format(odd: Path) -> None:
    name = "R&D_#1 <b> | {y}~^\\$%"
    for page in (*odd.glob("table?_*.html"), odd / "cost.html", odd / "provenance.html"):
        text = page.read_text()
        assert html.escape(name, quote=False) in text and "<b>" not in text and "<photos>" not in text, page
    assert f"<td>{'0' * 64}</td>" in (odd / "provenance.html").read_text(), "digests are whole"
    for page in odd.glob("table?_*.md"):
        rows = [line for line in page.read_text().splitlines() if line.startswith("|")]
        assert r"| R&D_#1 <b> \| {y}~^\$% " in "\n".join(rows), page
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, page
    assert latex("a&b_#1 {y} \\ 5 % < 6 ~ ^ $") == (
        r"a\&b\_\#1 \{y\} \textbackslash{} 5 \% $<$ 6 \textasciitilde{} \textasciicircum{} \$"
    )
    if shutil.which("pdflatex"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
        run = subprocess.run(command, cwd=odd, capture_output=True, text=True, errors="replace")
        assert run.returncode == 0, run.stdout[-2000:]


@pytest.mark.parametrize("file", ["comparison.csv", "runs.csv", "grid.json", "scores.csv"])
@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2 + 3], lambda text: "", lambda text: "note"])
def test_a_table_cut_short_or_damaged_is_named(
    lacking: Path, tmp_path: Path, file: str, damage: Callable[[str], str]
) -> None:
    tables = Path(shutil.copytree(lacking, tmp_path / "x/tables"))
    (tables / file).write_text(damage((tables / file).read_text()))
    outcome = dfsc("histograms", "--tables", tables, "--output", tmp_path / "figure")
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert f"{tables / file}: " in outcome.errors and "delete it and run the workflow again" in outcome.errors
    assert not list(tmp_path.glob("figure*"))


def test_all_damaged_receipts_are_named_at_once(lacking: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(lacking.parents[1], tmp_path / "copy"))
    damaged = sorted(folder.glob("x/cups/*/*/run.json"))
    damaged[0].write_text(damaged[0].read_text()[:40])
    damaged[1].write_text(json.dumps({"run_id": "1"}))
    damaged[3].write_text("")
    missing = damaged.pop(2)
    missing.unlink()
    arguments = [
        *("tables", "--uri", f"sqlite:///{folder}/mlflow.db", "--output", tmp_path / "tables"),
        *("--results", folder / "x", "--grid", (lacking / "grid.json").read_text()),
    ]
    for partial in ([], ["--partial"]):
        outcome = dfsc(*arguments, *partial)
        assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
        assert "3 of 11 runs" in outcome.errors and "snakemake --cores 1 --forcerun track" in outcome.errors
        assert all(str(path) in outcome.errors for path in damaged)
    for path in damaged:
        path.unlink()
    outcome = dfsc(*arguments)
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert "4 of 12 runs are missing" in outcome.errors
    assert all(str(path.parent.relative_to(folder / "x")) in outcome.errors for path in (*damaged, missing))
    assert not (tmp_path / "tables").exists()
    whole = {file: file.read_bytes() for file in (folder / "x/tables").iterdir()}
    outcome = dfsc(*arguments[:3], *arguments[5:], "--partial")  # without --output
    assert outcome.code == 0 and (folder / "x/partial/tables/runs.csv").exists()
    assert {file: file.read_bytes() for file in (folder / "x/tables").iterdir()} == whole
