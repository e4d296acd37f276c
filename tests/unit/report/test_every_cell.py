"""Every cell of every table, and of the terminal, against plain arithmetic on runs whose numbers tell their place."""

import csv
import itertools
import json
import math
import re
import shutil
import statistics
from collections.abc import Callable
from contextlib import chdir
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest

from dfsc.report import compare
from dfsc.report.compare import resample_differences, runs_frame
from dfsc.report.figures.from_tables import draw_auroc_over_quantile, draw_score_histograms
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.page.tables import page_tables
from dfsc.report.paper import read_paper_tables, write_paper_tables
from dfsc.report.store import tracking_client
from dfsc.report.tables import Context, build_tables
from dfsc.report.tracking import read_runs, read_scores
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.read_tables import (
    check_gain,
    check_probability,
    check_value,
    from_html,
    from_latex,
    from_markdown,
    number_of,
)
from support.told_arithmetic import (
    ALL,
    COLUMNS,
    RESAMPLES,
    all_different,
    best_of,
    categories_of,
    common_variance,
    deviation,
    gain_of,
    image_covariance,
    pairs_of,
    reach_of,
    seeds_of,
    share_below,
    value_of,
)
from support.told_runs import (
    BASELINES,
    BENCHMARK,
    CATEGORIES,
    CELLS,
    CONFIG,
    DEFECTS,
    GRID,
    HEADLINES,
    IMAGES,
    LOSSES,
    METHODS,
    METHODS_OF,
    METRICS,
    PRETRAINING,
    QUANTILES,
    RATES,
    SEEDS,
    SIZES,
    STEPS,
    TRACKED,
    TYPES,
    VALIDATION,
    WITH_DEFECT,
    Cell,
    baseline_of,
    is_inactive,
    place_of,
    size_of,
    told,
    told_cost,
    told_defect,
    told_defect_auroc,
    told_found,
    told_inside,
    told_loss,
    told_provenance,
    told_scores,
    told_settings,
    told_verdicts,
    told_versions,
    told_watched,
    track_told_runs,
    track_told_teacher,
    validation_scores,
    watched_of,
)

LABELS = {
    "efficientad-S": "EfficientAD-S",
    "dfsc-S-q0.99": "DFSC-S τ'=0.99",
    "dfsc-S-q0.9": "DFSC-S τ'=0.9",
    "dfsc-S-q0.9-margin_0.5": "DFSC-S τ'=0.9, margin 0.5",
    "efficientad-tiny": "EfficientAD-tiny",
    "dfsc-tiny-q0.99": "DFSC-tiny τ'=0.99",
    "dfsc-tiny-q0.9": "DFSC-tiny τ'=0.9",
    "dfsc-tiny-q0.9-margin_0.5": "DFSC-tiny τ'=0.9, margin 0.5",
}
INACTIVE = " (constraint inactive)"
BOTH, SWEEP, READINGS = ([[of_size[place] for place in places] for of_size in METHODS_OF.values()]
                         for places in ((0, 2), (0, 1, 2), (0, 2, 3)))  # fmt: skip
BEATS = "DFSC-S τ'=0.9 beat EfficientAD-S and DFSC-tiny τ'=0.9 beat EfficientAD-tiny"
# Table -> its metric, the metrics of its CSV, the methods of each size, and its question.
TABLES = {
    "table1_image_auroc": (
        *("image_auroc", METRICS[:1], BOTH),
        f"Does {BEATS} at telling anomalous images from good ones?",
    ),
    "table2_au_spro": ("au_spro_0.05", METRICS[1:], BOTH, f"Does {BEATS} at localising anomalies?"),
    "table3_quantiles": ("image_auroc", METRICS[:1], SWEEP, "How much does the quantile τ' matter?"),
    "table4_readings": (
        *("image_auroc", METRICS, READINGS),
        "How much do the margin and the readings left open matter?",
    ),
}
POINTS, OF_DEFECTS = "table5_operating_points", "table6_defects"
NAMES = (*CATEGORIES, ALL)
HEADINGS = dict(zip(COLUMNS, ("logical", "structural", "mean"), strict=True))
BEST = "best on the test images (optimistic)"
REFERENCE = CHECKOUT / "config" / "reference_results.csv"
# What a partial table lacks: a baseline's seed, a DFSC's seed, a DFSC of a whole category, all but one seed.
LACKING = {
    Cell("coin_tray", "efficientad-S", 5),
    Cell("picture_wall", "dfsc-S-q0.9", 11),
    *(Cell("picture_wall", "dfsc-tiny-q0.99", seed) for seed in SEEDS),
    *(Cell("coin_tray", "dfsc-tiny-q0.9-margin_0.5", seed) for seed in SEEDS[1:]),
}


def label_in(method: str, category: str) -> str:
    """What a method is called where its numbers stand."""
    return LABELS[method] + (INACTIVE if is_inactive(method, category) else "")


class Tables(NamedTuple):
    """A folder of tables, and the runs that they are of."""

    folder: Path
    cells: list[Cell]

    @property
    def mark(self) -> list[str]:
        """What every line begins with."""
        return ["PARTIAL"] if len(self.cells) < len(CELLS) else []


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The told runs as the workflow leaves them, tracked in a store."""
    root = tmp_path_factory.mktemp("told")
    with chdir(root):
        track_told_runs(root / "results" / BENCHMARK, uri_of(root))
    return root


def uri_of(root: Path) -> str:
    """The store's address."""
    return f"sqlite:///{root}/mlflow.db"


def receipt_of(root: Path, cell: Cell) -> Path:
    """Where the run's receipt is."""
    return root / "results" / BENCHMARK / cell.path / "run.json"


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of the whole grid, as the command makes them from a configuration and the folder of results."""
    folder = checkout_of(root, tmp_path_factory.mktemp("whole"), uri_of(root))
    with chdir(folder):
        outcome = dfsc("tables", "--configfile", "told.yaml", "--reference", REFERENCE)
    assert outcome.code == 0, outcome.errors
    return Tables(folder / "results" / BENCHMARK / "tables", CELLS)


def checkout_of(root: Path, folder: Path, uri: str) -> Path:
    """A folder with the told results and a configuration that names a store; returns it."""
    shutil.copytree(CHECKOUT / "config", folder / "config")
    shutil.copytree(root / "results", folder / "results")
    (folder / "told.yaml").write_text(yaml.safe_dump(CONFIG | {"tracking": {"uri": uri}}))
    return folder


@pytest.fixture(scope="module")
def gaps(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of a part of the grid."""
    cells = [cell for cell in CELLS if cell not in LACKING]
    results = tmp_path_factory.mktemp("gaps")
    for cell in cells:
        (results / cell.path).mkdir(parents=True)
        shutil.copy(receipt_of(root, cell), results / cell.path)
    write_paper_tables(uri_of(root), results, GRID, results / "tables", partial=True, reference=REFERENCE)
    return Tables(results / "tables", cells)


class Paired(NamedTuple):
    """What the command says of the differences that it gave the runs, and the store in which it did."""

    said: dict[str, Any]
    uri: str


@pytest.fixture(scope="module")
def paired(root: Path, whole: Tables, tmp_path_factory: pytest.TempPathFactory) -> Paired:
    """The differences, in a copy of the store, which the tables left without them."""
    folder = tmp_path_factory.mktemp("paired")
    uri = f"sqlite:///{shutil.copy(root / 'mlflow.db', folder)}"
    with tracking_client(uri) as client:
        experiment = client.get_experiment_by_name(BENCHMARK)
        assert experiment is not None
        for run in client.search_runs([experiment.experiment_id], max_results=1000):
            assert not any(name.startswith("difference") for name in run.data.metrics)
            assert "paired_baseline" not in run.data.tags
    with chdir(checkout_of(root, folder, uri)):
        outcome = dfsc("pair", "--configfile", "told.yaml", "--output", "pairs.json")
    assert outcome.code == 0, outcome.errors
    return Paired(json.loads((folder / "pairs.json").read_text()), uri)


@pytest.fixture(params=["whole", "gaps"])
def tables(request: pytest.FixtureRequest) -> Tables:
    """The tables of the whole grid, and those of a part."""
    found: Tables = request.getfixturevalue(request.param)
    return found


Place = tuple[str, str, str, str]  # metric, category, method, anomaly type or 'mean'


def comparison_of(tables: Tables) -> dict[Place, dict[str, Any]]:
    """The rows of comparison.csv by their place."""
    rows = pd.read_csv(tables.folder / "comparison.csv").to_dict("records")
    names = ("metric", "category", "method", "anomaly_type")
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows)
    return found


def values_at(tables: Tables, place: Place) -> list[float]:
    """The told values of a place, by seed."""
    metric, category, method, column = place
    seeds = seeds_of(tables.cells, category, method)
    return [value_of(metric, column, category, method, seed) for seed in seeds]


def inside_at(tables: Tables, category: str, method: str) -> float:
    """The told share inside the margin, mean over the runs; NaN of a baseline."""
    shares = [
        told_inside(cell)
        for cell in tables.cells
        if cell.method == method and cell.category in (CATEGORIES if category == ALL else [category])
    ]
    return math.nan if method in BASELINES else statistics.fmean(shares)


def gains_at(tables: Tables, place: Place) -> list[float]:
    """The told differences of a place, by pair."""
    metric, category, method, column = place
    seeds = pairs_of(tables.cells, category, method)
    return [gain_of(metric, column, category, method, seed) for seed in seeds]


def test_the_told_runs_tell_their_place() -> None:
    whole = Tables(Path(), CELLS)
    for metric, column in itertools.product(METRICS, COLUMNS):
        places = [(metric, *names, column) for names in itertools.product(NAMES, METHODS)]
        shown = [[100 * statistics.fmean(v), 100 * deviation(v)] for v in (values_at(whole, place) for place in places)]
        assert all_different([f"{mean:.1f} {std:.1f}" for mean, std in shown]), (metric, column)
        gains = [gains_at(whole, place) for place in places if place[2] not in BASELINES]
        shown = [[100 * statistics.fmean(found), 100 * deviation(found)] for found in gains]
        assert all_different([f"{mean:.1f} {std:.1f}" for mean, std in shown]), (metric, column)
    for _, *compared in SWEEP:
        best = {best_of(CELLS, "image_auroc", category, compared) for category in NAMES}
        assert best == set(compared), "the declared quantile is best in some rows, and worst in others"


def test_the_told_grid_is_what_its_configuration_says() -> None:
    """That is by hand what `tests/support/told_runs.py` calls its methods, and what people call them."""
    assert {method.name: method.label for method in GRID.methods} == LABELS and list(LABELS) == METHODS
    assert GRID.headlines == HEADLINES
    for method in GRID.methods:
        assert method.pairs_with == baseline_of(method.name) and method.size == size_of(method.name)
        assert method.quantile == QUANTILES[place_of(method.name)]
    assert [cell.path for cell in GRID.cells()] == [cell.path for cell in CELLS]


# What a machine reads.


def test_every_number_of_the_comparison(tables: Tables) -> None:
    found = comparison_of(tables)
    places = [
        (metric, category, method, column)
        for metric, size, category in itertools.product(METRICS, SIZES, NAMES)
        for method, column in itertools.product(METHODS_OF[size], COLUMNS)
        if seeds_of(tables.cells, category, method)
    ]
    assert list(found) == places
    for place, row in found.items():
        values, gains = values_at(tables, place), gains_at(tables, place)
        assert row["value"] == pytest.approx(statistics.fmean(values), abs=1e-12), place
        assert row["value_std"] == pytest.approx(deviation(values), abs=1e-12, nan_ok=True), place
        assert (row["seeds"], row["pairs"]) == (len(values), len(gains)), place
        assert row["baseline"] == baseline_of(place[2]), place
        wanted = inside_at(tables, place[1], place[2])
        assert row["inside_margin"] == pytest.approx(wanted, abs=1e-12, nan_ok=True), place
        assert row.get("status") == (tables.mark[0] if tables.mark else None)
        if gains:
            assert row["difference"] == pytest.approx(statistics.fmean(gains), abs=1e-12), place
            assert row["difference_std"] == pytest.approx(deviation(gains), abs=1e-12, nan_ok=True), place
        else:
            empty = ("difference", "difference_std", "low", "high", "probability")
            assert all(math.isnan(row[name]) for name in empty), place


def test_every_interval_of_the_comparison(tables: Tables) -> None:
    """Student's t where images are not resampled; else, with the images' exact variance, what 2,000 draws may find.

    The distribution is kept as 400 quantiles: half a per cent of a bound, and 0.004 of a probability, are theirs.
    """
    for place, row in comparison_of(tables).items():
        metric, category, method, column = place
        pairs, gains = pairs_of(tables.cells, category, method), gains_at(tables, place)
        if not gains or (metric != "image_auroc" and len(gains) == 1):
            assert all(math.isnan(row[name]) for name in ("low", "high", "probability")), place
            continue
        mean, std = statistics.fmean(gains), deviation(gains)
        variances = (0.0, 0.0)
        if metric == "image_auroc":
            variances = common_variance(image_covariance(category, method, pairs, column))
        least, most = (reach_of(variance, std, len(pairs)) for variance in variances)
        for reach in (mean - row["low"], row["high"] - mean):
            assert 0.995 * least <= reach <= 1.005 * most, place
        shares = [share_below(mean, variance, std, len(pairs)) for variance in variances]
        assert min(shares) - 0.004 <= row["probability"] <= max(shares) + 0.004, place


def test_images_are_drawn_again_for_a_run_and_its_own_seeds_baseline(root: Path, whole: Tables) -> None:
    runs = read_runs(uri_of(root), [receipt_of(root, cell) for cell in CELLS])
    drawn = resample_differences(runs_frame(runs, GRID), read_scores(uri_of(root), runs), GRID)
    assert {astuple(cell) for cell in drawn} == set(CELLS)
    for named, found in drawn.items():
        cell = Cell(*astuple(named))
        category, method, seed = cell
        assert found.shape == (RESAMPLES, len(compare.COLUMNS))
        by_column = dict(zip(compare.COLUMNS, found.T, strict=True))
        assert all(math.isnan(value) for value in by_column.pop("untyped_anomalies"))
        if method in BASELINES:
            assert not any(values.any() for values in by_column.values())
            continue
        assert list(by_column) == list(COLUMNS)
        for column, values in by_column.items():
            exact = image_covariance(category, method, [seed], column)
            least, most = common_variance(exact)
            assert values.mean() == pytest.approx(
                gain_of("image_auroc", column, *cell), abs=4 * math.sqrt(exact.item() / RESAMPLES)
            ), (cell, column)
            assert least <= values.var(ddof=1) <= most, (cell, column)


def test_every_run_and_every_score_is_in_its_row(tables: Tables, root: Path) -> None:
    runs = pd.read_csv(tables.folder / "runs.csv", keep_default_na=False)
    found = {Cell(*row[["category", "method", "seed"]]): row for _, row in runs.iterrows()}
    assert len(found) == len(runs) and set(found) == set(tables.cells)
    assert list(runs.columns[:6]) == ["category", "method", "seed", "size", "quantile", "ablation"]
    for cell, row in found.items():
        for metric, column in itertools.product(METRICS, COLUMNS):
            assert row[f"{metric}.{column}"] == pytest.approx(told(cell, metric, column), abs=1e-12), (cell, metric)
        for kind, defects in DEFECTS.items():
            for defect in defects:
                wanted = told_defect(cell, kind, defect, "0.05")
                assert row[f"au_spro_0.05.{kind}.{defect}"] == pytest.approx(wanted, abs=1e-12), (cell, defect)
        made_from = told_provenance(cell)
        for name in ("data_digest", "teacher_digest", "pretraining_images", "commit", "hardware"):
            assert row[name] == made_from[name]
        assert row["code_digest"] == "code-of-all" and row["seconds"] == told_cost(cell)["seconds"]
        assert row["size"] == size_of(cell.method)
        assert row["quantile"] == ("" if cell.method in BASELINES else str(QUANTILES[place_of(cell.method)]))
        assert row["ablation"] == ("margin 0.5" if "margin" in cell.method else "")
        assert row["run_id"] == json.loads(receipt_of(root, cell).read_text())["run_id"]
        assert row.get("status", "") == "".join(tables.mark)

    with (tables.folder / "scores.csv").open(newline="") as stream:
        scores = list(csv.DictReader(stream))
    by_run: dict[Cell, dict[str, float]] = {}
    for line in scores:
        cell = Cell(line["category"], line["method"], int(line["seed"]))
        by_run.setdefault(cell, {})[line["path"]] = float(line["image_score"])
    assert by_run == {cell: {**validation_scores(cell), **told_scores(cell)} for cell in tables.cells}
    assert len(scores) == sum(map(len, by_run.values()))
    assert json.loads((tables.folder / "grid.json").read_text()) == asdict(GRID)


@pytest.mark.parametrize("name", TABLES)
def test_a_tables_numbers_are_those_of_the_comparison(tables: Tables, name: str) -> None:
    _, metrics, by_size, _ = TABLES[name]
    methods = list(itertools.chain(*by_size))
    with (tables.folder / "comparison.csv").open(newline="") as stream:
        wanted = [row for row in csv.DictReader(stream) if row["metric"] in metrics and row["method"] in methods]
    with (tables.folder / f"{name}.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert found == [{**row, "pretraining_images": PRETRAINING} for row in wanted]


# What a person reads.


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_same_in_all_formats(tables: Tables, name: str) -> None:
    caption, rows = from_markdown(tables.folder / f"{name}.md")
    latex_caption, latex, alignment = from_latex(tables.folder / f"{name}.tex")
    html_title, html_caption, html = from_html(tables.folder / f"{name}.html")
    assert latex == rows and html == rows
    assert caption == f"{html_title} {html_caption}"
    number = f"Table {list(TABLES).index(name) + 1}. "
    assert html_title == number + TABLES[name][3] and latex_caption == caption.removeprefix(number)
    assert alignment == "".join("r" if heading in HEADINGS.values() else "l" for heading in rows[0])
    assert all(len(row) == len(rows[0]) for row in rows)
    assert caption.count("PARTIAL: runs of the grid are missing") == len(tables.mark)
    for words in ("over 3 seeds", "the method minus its baseline in points", "paired by category and seed",
                  "95 % interval", PRETRAINING,
                  "Declared in the configuration: DFSC-S τ'=0.9, DFSC-tiny τ'=0.9."):  # fmt: skip
        assert words in caption
    if name == "table2_au_spro":
        assert "AU-sPRO up to FPR 0.05 in per cent" in caption and "(Student's t over seeds)" in caption
    else:
        assert "Image AUROC in per cent" in caption and "test images resampled, seeds by Student's t" in caption
    document = (tables.folder / "tables.tex").read_text()
    assert re.findall(r"\\input\{(\w+)\}", document) == [*TABLES, POINTS, OF_DEFECTS]


def rows_of(tables: Tables, name: str) -> list[dict[str, str]]:
    """The rows of a table, by their headings."""
    headings, *rows = from_markdown(tables.folder / f"{name}.md")[1]
    assert headings[: len(tables.mark)] == ["status"] * len(tables.mark)
    assert all(row[: len(tables.mark)] == tables.mark for row in rows)
    return [dict(zip(headings, row, strict=True)) for row in rows]


@pytest.mark.parametrize("name", list(TABLES)[:2])
def test_every_cell_of_the_tables_of_both_methods(tables: Tables, name: str) -> None:
    metric, comparison = TABLES[name][0], comparison_of(tables)
    rows = iter(rows_of(tables, name))
    for (baseline, declared), category in itertools.product(BOTH, NAMES):
        assert seeds_of(tables.cells, category, declared) and seeds_of(tables.cells, category, baseline)
        for label in (LABELS[baseline], LABELS[declared], "difference [95 %]", "P(better)"):
            row = next(rows)
            assert [row[name] for name in ("category", "", "source")] == [category, label, "ours"]
            for column, heading in HEADINGS.items():
                place = (metric, category, baseline if label == LABELS[baseline] else declared, column)
                if label == "difference [95 %]":
                    check_gain(row[heading], gains_at(tables, place), comparison[place])
                elif label == "P(better)":
                    check_probability(row[heading], comparison[place])
                else:
                    check_value(row[heading], values_at(tables, place))
    with REFERENCE.open(newline="") as stream:
        others = [line for line in csv.DictReader(stream) if line["metric"] == metric]
    kinds = {"published": "published: ", "reproduction": "reproduced: "}
    for line in others:
        row = next(rows)
        runs = {"": "", "1": ", 1 run"}.get(line["runs"], f", {line['runs']} runs")
        assert row["source"] == kinds[line["kind"]] + line["source"] + runs
        assert row[""] == line["method"] + (f"-{line['size']}" if line["size"] else "")
        assert row["category"] == (ALL if line["category"] == "all" else line["category"])
        assert [row[heading] for heading in HEADINGS.values()] == [line[heading] for heading in HEADINGS.values()]
    assert next(rows, None) is None and len(others) > 5


@pytest.mark.parametrize("name", list(TABLES)[2:])
def test_every_cell_of_the_tables_of_many_methods(tables: Tables, name: str) -> None:
    metric, _, by_size, _ = TABLES[name]
    comparison, rows = comparison_of(tables), iter(rows_of(tables, name))
    for methods, category in itertools.product(by_size, NAMES):
        best = best_of(tables.cells, metric, category, methods)
        for method in methods:
            if not seeds_of(tables.cells, category, method):
                continue
            row = next(rows)
            assert [row[name] for name in ("category", "")] == [category, label_in(method, category)]
            inside = inside_at(tables, category, method)
            assert row["inside margin"] == ("" if math.isnan(inside) else f"{100 * inside:.1f} %")
            for column, heading in HEADINGS.items():
                check_value(row[heading], values_at(tables, (metric, category, method, column)))
            place = (metric, category, method, "mean")
            check_gain(row["difference of mean [95 %]"], gains_at(tables, place), comparison[place])
            check_probability(row["P(better)"], comparison[place])
            notes = (["declared"] if method in HEADLINES else []) + ([BEST] if method == best else [])
            assert row["note"] == ", ".join(notes)
    assert next(rows, None) is None


def wrong_verdicts(cell: Cell, rate: float, folder: str) -> dict[str, bool]:
    """Path -> whether the image is judged wrong; the threshold is the highest or the second highest of 19 scores."""
    threshold = sorted(validation_scores(cell).values())[{0.05: -1, 0.1: -2}[rate]]
    scores = {path: score for path, score in told_scores(cell).items() if path.startswith(f"test/{folder}/")}
    return {f"{cell.category}/{path}": (score > threshold) == (folder == "good") for path, score in scores.items()}


def test_every_number_of_the_operating_points(tables: Tables) -> None:
    rows = pd.read_csv(tables.folder / f"{POINTS}.csv", dtype={"counts": str}).to_dict("records")
    found = {(row["category"], row["promised"], row["method"], row["folder"]): row for row in rows}
    places = [
        (category, rate, method, folder)
        for category, rate, method in itertools.product((*CATEGORIES, "all categories"), (0.01, 0.05, 0.1), METHODS)
        for folder in ("good", *TYPES, "untyped_anomalies", "anomalies")
        if seeds_of(tables.cells, category.replace("all categories", ALL), method)
    ]
    assert list(found) == places and len(found) == len(rows)
    for (category, rate, method, folder), row in found.items():
        name = category.replace("all categories", ALL)
        folders = {"anomalies": list(TYPES), "untyped_anomalies": []}.get(folder, [folder])

        def wrong(method: str, seed: int) -> dict[str, bool]:
            cells = [Cell(one, method, seed) for one in categories_of(name)]  # noqa: B023
            parts = [wrong_verdicts(cell, rate, one) for cell in cells for one in folders]  # noqa: B023
            return dict(itertools.chain(*(part.items() for part in parts)))

        assert row["validation"] == VALIDATION
        if rate == 0.01 or not folders:
            assert all(math.isnan(row[key]) for key in ("wrong", "rate", "low", "high", "better", "worse", "p_value"))
            continue
        seeds, pairs = seeds_of(tables.cells, name, method), pairs_of(tables.cells, name, method)
        by_seed = [wrong(method, seed) for seed in seeds]
        counts = [sum(of_seed.values()) for of_seed in by_seed]
        assert row["counts"] == " ".join(map(str, counts)) and row["seeds"] == len(seeds)
        assert row["images"] == len(by_seed[0]) == sum(IMAGES[one] for one in folders) * len(categories_of(name))
        assert row["wrong"] == pytest.approx(statistics.fmean(counts))
        assert row["rate"] == pytest.approx(statistics.fmean(counts) / row["images"])
        if pairs:
            against = [(wrong(baseline_of(method), seed), wrong(method, seed)) for seed in pairs]
            more = [sum(baselines[path] - own[path] for baselines, own in against) for path in by_seed[0]]
            better, worse = sum(one > 0 for one in more), sum(one < 0 for one in more)
            assert (row["pairs"], row["better"], row["worse"]) == (len(pairs), better, worse), (category, method)
            wanted = binomtest(better, better + worse).pvalue if better + worse else 1
            assert row["p_value"] == pytest.approx(wanted)
        else:
            assert math.isnan(row["better"])


def test_every_cell_of_the_operating_points(tables: Tables) -> None:
    numbers = pd.read_csv(tables.folder / f"{POINTS}.csv")
    rows = iter(rows_of(tables, POINTS))
    headings = {"good": "false alarms", **{kind: f"missed {HEADINGS[kind]}" for kind in TYPES}}
    for category, rate, (baseline, declared) in itertools.product(
        (*CATEGORIES, "all categories"), (0.01, 0.05, 0.1), BOTH
    ):
        for method in (baseline, declared):
            row, of_method = next(rows), numbers[(numbers["method"] == method) & (numbers["category"] == category)]
            assert [row[name] for name in ("category", "promised", "")] == [category, f"{rate:.0%}".replace("%", " %"),
                                                                            LABELS[method]]  # fmt: skip
            of_folder = of_method[of_method["promised"] == rate].set_index("folder")
            for folder, heading in headings.items():
                number = of_folder.loc[folder]
                if rate == 0.01:
                    assert row[heading] == f"not promised: {VALIDATION} images"
                    continue
                shown = re.fullmatch(r"([\d.]+) of (\d+): ([\d.]+) \[([\d.]+), ([\d.]+)\]", row[heading])
                assert shown, row
                wrong, images, *shares = map(float, shown.groups())
                assert wrong == pytest.approx(number["wrong"], abs=0.0501) and images == number["images"]
                assert shares == pytest.approx([100 * number[key] for key in ("rate", "low", "high")], abs=0.0501)
        if rate == 0.01:
            continue
        row = next(rows)
        assert row[""] == "better : worse than baseline"
        for folder, heading in headings.items():
            number = of_folder.loc[folder]
            chance = f"p={number['p_value']:.3f}" if number["p_value"] >= 0.001 else "p<0.001"
            assert row[heading] == f"{number['better']:.0f} : {number['worse']:.0f}, {chance}"
    assert next(rows, None) is None


def test_every_cell_of_the_defects(tables: Tables) -> None:
    rows = iter(rows_of(tables, OF_DEFECTS))
    for category, kind in itertools.product(CATEGORIES, TYPES):
        for defect, (baseline, declared) in itertools.product(sorted(DEFECTS[kind]), BOTH):

            def values(cell: Cell) -> dict[str, float]:
                return {
                    "found at 5 %": told_found(cell, defect) / WITH_DEFECT[defect],  # noqa: B023
                    "image AUROC": told_defect_auroc(cell, kind, defect),  # noqa: B023
                    "AU-sPRO": told_defect(cell, kind, defect, "0.05"),  # noqa: B023
                }

            for method, label in ((baseline, LABELS[baseline]), (declared, LABELS[declared]), (declared, "difference")):
                row = next(rows)
                assert [row[name] for name in ("category", "defect", "images", "")] == [
                    category, f"{defect} ({HEADINGS[kind]})", str(WITH_DEFECT[defect]), label
                ]  # fmt: skip
                pairs = pairs_of(tables.cells, category, declared)
                seeds = pairs if label == "difference" else seeds_of(tables.cells, category, method)
                by_seed = [values(Cell(category, method, seed)) for seed in seeds]
                others = [values(Cell(category, baseline, seed)) for seed in seeds]
                for heading in by_seed[0]:
                    if label != "difference":
                        check_value(row[heading], [of_seed[heading] for of_seed in by_seed])
                        continue
                    gains = [mine[heading] - other[heading] for mine, other in zip(by_seed, others, strict=True)]
                    check_gain(row[heading], gains, {"low": math.nan, "high": math.nan})
    assert next(rows, None) is None


@pytest.mark.parametrize("name", [POINTS, OF_DEFECTS])
def test_the_later_tables_are_the_same_in_all_formats(tables: Tables, name: str) -> None:
    caption, rows = from_markdown(tables.folder / f"{name}.md")
    latex_caption, latex, _ = from_latex(tables.folder / f"{name}.tex")
    title, html_caption, html = from_html(tables.folder / f"{name}.html")
    assert latex == rows and html == rows and caption == f"{title} {html_caption}"
    assert caption.endswith(latex_caption) and PRETRAINING in caption
    assert caption.count("PARTIAL: runs of the grid are missing") == len(tables.mark)


def test_a_block_is_set_off_from_the_next(whole: Tables) -> None:
    for name in TABLES:
        rows = rows_of(whole, name)
        blocks = [row["category"] if row.get("source", "ours") == "ours" else "others" for row in rows]
        changes = [number for number in range(1, len(rows)) if blocks[number] != blocks[number - 1]]
        assert len(changes) == len(SIZES) * len(NAMES) - (0 if "others" in blocks else 1)
        latex = (whole.folder / f"{name}.tex").read_text().split(r"\endfoot")[1].splitlines()
        places = [number for number, line in enumerate(latex) if line == r"\midrule"]
        assert [place - 1 - earlier for earlier, place in enumerate(places)] == changes
        html = (whole.folder / f"{name}.html").read_text().partition("<tbody>")[2].splitlines()
        assert [number for number, line in enumerate(html) if "<tr class=first" in line] == changes


@pytest.mark.parametrize(
    ("source", "seeds", "readings", "words", "unsaid"),
    [
        ("mvtec_loco", SEEDS, True, "over 3 seeds", ("other data than ours", "No other reading", "one seed")),
        ("folder", [2], False, "one seed", ("over", "Student")),
        ("folder", [2, 5], False, "over 2 seeds", ("one seed",)),
    ],
)
def test_captions_follow_the_grid(
    whole: Tables, root: Path, source: str, seeds: list[int], readings: bool, words: str, unsaid: tuple[str, ...]
) -> None:
    methods = [method for method in GRID.methods if readings or "margin" not in method.name]
    grid = replace(GRID, source=source, seeds=seeds, methods=methods)
    comparison = pd.read_csv(whole.folder / "comparison.csv")
    comparison = comparison[comparison["method"].isin([method.name for method in methods])]
    first, second, third, fourth = (
        table.caption for table in build_tables(comparison, Context(grid, "told", False, REFERENCE))
    )
    for caption in (first, second, third, fourth):
        spread = caption.partition("Difference")[0] if "over" in unsaid else caption
        assert words in caption and not any(word in spread for word in unsaid), caption
    if source != "mvtec_loco":
        assert all("of MVTec LOCO AD, other data than ours" in caption for caption in (first, second))
        assert "No other reading was run" in fourth and "No other reading" not in third


# In the terminal.


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[str]:
    """The lines that a command prints in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    outcome = dfsc(*arguments)
    assert outcome.code == 0, outcome.errors
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


VALUE = r"\d+\.\d(?: ± \d+\.\d)?"
GAIN = r"[+−]\d+\.\d(?: ± \d+\.\d)?(?: \[\S+, \S+\])?"


def test_every_number_that_show_prints(
    tables: Tables, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(capsys, monkeypatch, "show", tables.folder.parent)
    heading = r" +logical +structural +mean +difference of mean \[95 %\] +P\(better\)"
    assert sum(bool(re.fullmatch(heading, line)) for line in lines) == 2
    assert sum(line.strip() == "PARTIAL: runs of the grid are missing" for line in lines) == 2 * len(tables.mark)
    labels = [label + mark for label in LABELS.values() for mark in ("", INACTIVE)]
    row = re.compile(rf"({'|'.join(map(re.escape, labels))}) +((?:{VALUE} +){{2}}{VALUE})(?: +({GAIN}))?(?: +(\S.*))?")
    captions = ("Image AUROC in per cent", "AU-sPRO up to FPR 0.05 in per cent")
    told_lines = (line for line in lines if line in NAMES or row.fullmatch(line) or line.startswith(captions))
    comparison = comparison_of(tables)
    for metric, caption in zip(("image_auroc", "au_spro_0.05"), captions, strict=True):
        for methods, category in itertools.product(METHODS_OF.values(), NAMES):
            assert next(told_lines) == category
            for method in filter(lambda method: seeds_of(tables.cells, category, method), methods):
                cells = row.fullmatch(next(told_lines))
                assert cells and cells[1] == label_in(method, category)
                for column, shown in zip(COLUMNS, re.findall(VALUE, cells[2]), strict=True):
                    check_value(shown, values_at(tables, (metric, category, method, column)))
                place = (metric, category, method, "mean")
                check_gain(cells[3] or "", gains_at(tables, place), comparison[place], spread=False)
                if method not in BASELINES:
                    check_probability(cells[4] or "", comparison[place])
        assert next(told_lines).startswith(caption)
    assert next(told_lines, None) is None
    where = lines[-3:]
    assert str(tables.folder) in where[0] and str(tables.folder.parent / "figures") in where[1]
    assert f"(experiment {tables.folder.parent.name})" in where[2]


@pytest.mark.parametrize(
    ("metric", "method"),
    [("image_auroc", None),
     *itertools.product(["au_spro_0.05"], ["dfsc-S-q0.99", "dfsc-tiny-q0.99"]),
     *itertools.product(["au_spro_0.3"], ["dfsc-S-q0.9-margin_0.5", "dfsc-tiny-q0.9-margin_0.5"])],
)  # fmt: skip
def test_every_number_that_compare_prints(
    tables: Tables, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, metric: str, method: str | None
) -> None:
    chosen = ["--metric", metric, *(["--method", method] if method else [])]
    lines = printed(capsys, monkeypatch, "compare", tables.folder.parent, *chosen)
    methods, comparison = [method] if method else HEADLINES, comparison_of(tables)
    assert sum(line.strip() == "PARTIAL: runs of the grid are missing" for line in lines) == len(
        methods * len(tables.mark)
    )
    told_lines = (
        line for line in lines if line in NAMES or re.match(r"(seed|\d+|all) +[\dE+−]|\S+ τ'=.* against ", line)
    )
    for method in methods:
        names = (baseline_of(method), method)
        marked = is_inactive(method, CATEGORIES[0])
        heading = rf"seed +{LABELS[names[0]]} +{LABELS[method]} +difference +P\(better\){' +constraint' * marked}"
        assert re.fullmatch(heading, next(told_lines))
        for category in NAMES:
            if not seeds_of(tables.cells, category, method):
                continue
            assert next(told_lines) == category
            for seed in pairs_of(tables.cells, category, method) if category != ALL else []:
                shown = next(told_lines).split()
                baseline, own = (told(Cell(category, name, seed), metric, "mean") for name in names)
                assert shown[0] == str(seed) and len(shown) == 4
                wanted = (100 * baseline, 100 * own, 100 * (own - baseline))
                assert [number_of(text) for text in shown[1:]] == pytest.approx(wanted, abs=0.0501), (category, seed)
                assert shown[3][0] in "+−"
            place = (metric, category, method, "mean")
            cells = re.fullmatch(rf"all(?: +({GAIN}))?(?: +([<>0-9][<> .0-9]*?))?( +inactive)?", next(told_lines))
            assert cells and bool(cells[3]) == is_inactive(method, category)
            check_gain(cells[1] or "", gains_at(tables, place), comparison[place])
            check_probability(cells[2] or "", comparison[place])
        assert next(told_lines).startswith(f"{LABELS[method]} against {LABELS[names[0]]}. ")
    assert next(told_lines, None) is None


def test_every_verdict_that_show_prints(
    tables: Tables, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the promised 5 %, of every method."""
    lines = printed(capsys, monkeypatch, "show", tables.folder.parent, "--operating-points")
    counted = re.compile(r"(\d+(?:\.\d)?) of (\d+): (\d+\.\d)(?= |$)")
    shown = iter([line for line in lines if len(counted.findall(line)) == 1 + len(TYPES)])
    numbers = pd.read_csv(tables.folder / f"{POINTS}.csv")
    numbers = numbers[numbers["promised"] == 0.05].set_index(["category", "method", "folder"])
    for category, method in itertools.product((*CATEGORIES, "all categories"), METHODS):
        name = category.replace("all categories", ALL)
        if not seeds_of(tables.cells, name, method):
            continue
        line = next(shown)
        assert line.startswith(f"{label_in(method, name)} "), line
        for folder, found in zip(("good", *TYPES), counted.findall(line), strict=True):
            row = numbers.loc[category, method, folder]
            wanted = [row["wrong"], row["images"], 100 * row["rate"]]
            assert [float(text) for text in found] == pytest.approx(wanted, abs=0.0501), (category, method, folder)
    assert next(shown, None) is None


# On the page: tests/test_page.py opens it.


def test_every_cell_of_the_pages_tables(tables: Tables) -> None:
    runs, compared, context = read_paper_tables(tables.folder)
    pages = page_tables(Benchmark(tables.folder.parent, Path(), runs, compared, context))
    comparison = comparison_of(tables)
    for page, (name, (metric, _, by_size, _)) in zip(pages[: len(TABLES)], TABLES.items(), strict=True):
        assert page.name == name and page.columns == [
            *("category", "method", *HEADINGS.values(), "P(better)", "inside margin"),
            "source" if name in list(TABLES)[:2] else "note",
        ]
        lines, written = iter(page.lines), rows_of(tables, name)
        for category, method in itertools.product(NAMES, itertools.chain(*by_size)):
            if not seeds_of(tables.cells, category, method):
                continue
            line = next(lines)
            assert (line.category, line.method, line.size) == (category, method, size_of(method))
            first, second, *values, better, inside, last = line.cells
            assert [cell.text for cell in (first, second)] == [category, label_in(method, category)]
            # The first: others' numbers, which come last, may be of a method of the same name.
            row = next(row for row in written if [row["category"], row[""]] == [category, second.text])
            assert last.text == row[page.columns[-1]]
            for cell, column in zip(values, COLUMNS, strict=True):
                place = (metric, category, method, column)
                check_value(cell.text, values_at(tables, place))
                check_gain(cell.more, gains_at(tables, place), comparison[place], spread=False)
                assert cell.sort == comparison[place]["value"]
            check_probability(better.text, comparison[metric, category, method, "mean"])
            share = inside_at(tables, category, method)
            assert inside.text == ("" if math.isnan(share) else f"{100 * share:.1f} %")
        assert next(lines, None) is None


@pytest.mark.parametrize("place", [0, 1])
def test_the_page_says_of_others_numbers_what_the_files_say(tables: Tables, place: int) -> None:
    runs, compared, context = read_paper_tables(tables.folder)
    context = replace(context, reference=REFERENCE)
    page = page_tables(Benchmark(tables.folder.parent, Path(), runs, compared, context))[place]
    shown = [[line.cells[number].text for number in (0, 1, -1)] for line in page.lines]
    written = [[row[name] for name in ("category", "", "source")] for row in rows_of(tables, page.name)]
    others = [row for row in written if row[-1] != "ours"]
    assert len(others) > 5 and [row for row in shown if row[-1] != "ours"] == others


def test_the_pages_later_tables_say_what_the_files_say(tables: Tables) -> None:
    """A value, and beneath it what the next row of the file says of the difference."""
    runs, compared, context = read_paper_tables(tables.folder)
    points, defects = page_tables(Benchmark(tables.folder.parent, Path(), runs, compared, context))[len(TABLES) :]
    assert [points.name, defects.name] == [POINTS, OF_DEFECTS]
    written = iter(rows_of(tables, POINTS))
    for line in points.lines:
        row, (category, promised, label, *cells) = next(written), line.cells
        assert [row[name] for name in ("category", "promised", "")] == [category.text, promised.text, label.text]
        assert [row[heading] for heading in points.columns[3:]] == [cell.text for cell in cells]
        if any(cell.more for cell in cells):
            against = next(written)
            assert against[""] == "better : worse than baseline"
            assert [against[heading] for heading in points.columns[3:]] == [cell.more for cell in cells]
    assert next(written, None) is None
    written = iter(rows_of(tables, OF_DEFECTS))
    for line in defects.lines:
        row, (category, defect, kind, images, label, *cells) = next(written), line.cells
        shown = [category.text, f"{defect.text} ({kind.text})", images.text, label.text]
        assert [row[name] for name in ("category", "defect", "images", "")] == shown
        assert [row[heading] for heading in defects.columns[5:]] == [cell.text for cell in cells]
        if line.method not in BASELINES:
            gained = [re.sub(r" ± \S+", "", text) for text in list(next(written).values())[-len(cells) :]]
            assert gained == [cell.more for cell in cells]
    assert next(written, None) is None


# Figures of the same numbers: tests/unit/report/test_figures.py looks into them.


@pytest.mark.parametrize("command", ["auroc-over-quantile", "histograms"])
def test_the_commands_draw_the_tables_numbers(gaps: Tables, tmp_path: Path, command: str) -> None:
    outcome = dfsc(command, "--tables", gaps.folder, "--output", tmp_path / "by_command")
    assert outcome.code == 0, outcome.errors
    drawn_by: dict[str, tuple[Callable[..., object], list[str], list[str]]] = {
        "auroc-over-quantile": (draw_auroc_over_quantile, ["runs.csv", "comparison.csv"], BASELINES),
        "histograms": (draw_score_histograms, ["scores.csv"], HEADLINES),
    }
    draw, names, of_methods = drawn_by[command]
    frames = [pd.read_csv(gaps.folder / name) for name in names]
    draw(*frames, Context(GRID, PRETRAINING, True), tmp_path / "by_function")
    pictures = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert pictures.keys() == {f"by_{drawn}_{method}.png" for drawn in ("command", "function") for method in of_methods}
    for method in of_methods:
        assert pictures[f"by_command_{method}.png"] == pictures[f"by_function_{method}.png"]
    assert pictures[f"by_command_{of_methods[0]}.png"] != pictures[f"by_command_{of_methods[1]}.png"]


# What the runs were made from, and what they cost.


def test_every_row_of_the_provenance(tables: Tables) -> None:
    with (tables.folder / "provenance.csv").open(newline="") as stream:
        rows = [list(row) for row in csv.reader(stream)]
    title, _, html = from_html(tables.folder / "provenance.html")
    assert html == rows and rows[0] == ["what", "value"]
    assert title == f"What the {len(tables.cells)} runs were made from"
    made_from = [told_provenance(cell) for cell in tables.cells]
    wanted = {
        "runs": [str(len(tables.cells))],
        "code digest": ["code-of-all"],
        **{
            name.replace("_", " "): sorted({of_run[name] for of_run in made_from})
            for name in ("commit", "hardware", "teacher_digest", "pretraining_images")
        },
        **{f"data digest of {category}": [f"data-of-{category}"] for category in CATEGORIES},
    }
    for name in told_versions():
        versions = {told_versions(cell)[name] for cell in tables.cells}
        wanted[f"version of {name}"] = [", ".join(sorted(versions))]
    for what, values in wanted.items():
        assert [value for name, value in rows if name == what] == values, what


def test_every_cost(tables: Tables) -> None:
    groups = [
        ([category, method], [told_cost(cell) for cell in tables.cells if cell[:2] == (category, method)])
        for category, method in itertools.product(CATEGORIES, METHODS)
    ]
    wanted = {tuple(names): costs for names, costs in groups if costs}
    wanted["all", "all"] = [told_cost(cell) for cell in tables.cells]
    with (tables.folder / "cost.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    markdown = from_markdown(tables.folder / "cost.md")
    assert PRETRAINING in markdown[0] and "summed over seeds" in markdown[0]
    _, _, html = from_html(tables.folder / "cost.html")
    speed = ["latency_ms", "images_per_second", "measured_on"]  # test_cost.py has them
    told_columns = ["category", "method", "trainings", "seconds", "gpu_seconds", "peak_memory_bytes"]
    assert rows[0] == html[0] == [*told_columns, *speed]
    assert markdown[1][0] == [*rows[0][:3], "wall hours", "GPU hours", "peak memory, GiB", "latency, ms", "images/s"]
    assert {tuple(row[:2]) for row in rows[1:]} == set(wanted) and len(rows) == len(html) == len(wanted) + 1
    assert rows[-1][0] == "all"
    for row, page, hours in zip(rows[1:], html[1:], markdown[1][1:], strict=True):
        assert row[:3] == page[:3] == hours[:3]
        costs = wanted[tuple(row[:2])]
        seconds, gpu = (sum(cost[name] for cost in costs) for name in ("seconds", "gpu_seconds"))
        memory = max(cost["peak_memory_bytes"] for cost in costs)
        assert row[2] == str(len(costs))
        for found in (row, page):
            assert [float(text) for text in found[3:6]] == pytest.approx([seconds, gpu, memory], rel=1e-6)
            assert found[6:] == ["", "", ""]
        assert [float(text) for text in hours[3:5]] == pytest.approx([seconds / 3600, gpu / 3600], abs=0.00051)
        assert float(hours[5]) == pytest.approx(memory / 2**30, abs=0.0051)


# In MLflow.


def test_every_run_in_mlflow(root: Path, paired: Paired) -> None:
    with tracking_client(paired.uri) as client:
        experiment = client.get_experiment_by_name(BENCHMARK)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {run.info.run_name: run for run in runs}
    assert set(by_name) == {cell.path for cell in CELLS} and len(runs) == len(CELLS)
    for cell in CELLS:
        run = by_name[cell.path]
        receipt = json.loads(receipt_of(root, cell).read_text())
        assert receipt["run_id"] == run.info.run_id and receipt["experiment"] == BENCHMARK
        assert run.info.status == "FINISHED"
        check_tags(cell, run.data.tags, by_name)
        settings = told_settings(cell)
        flat = {name: str(value) for name, value in settings.items() if not isinstance(value, dict)}
        flat |= {f"dfsc.{name}": str(value) for name, value in (settings["dfsc"] or {}).items()}
        assert run.data.params == flat
        assert {
            name: value for name, value in run.data.metrics.items() if not name.startswith(("loss/", "constraint/"))
        } == pytest.approx(told_numbers(cell), abs=1e-12)


def test_every_difference_that_is_said_of_a_run(root: Path, paired: Paired) -> None:
    def run_of(cell: Cell) -> str:
        return str(json.loads(receipt_of(root, cell).read_text())["run_id"])

    compared = {run_of(cell): cell for cell in CELLS if cell.method not in BASELINES}
    assert paired.said.keys() == compared.keys()
    for run, cell in compared.items():
        wanted = {
            f"{metric}.{column}": gain_of(metric, column, *cell)
            for metric, column in itertools.product(("image_auroc", "au_spro_0.05"), COLUMNS)
        }
        assert paired.said[run]["baseline"] == run_of(cell._replace(method=baseline_of(cell.method)))
        said = {name: value for name, value in paired.said[run].items() if name != "baseline"}
        assert said == pytest.approx(wanted, abs=1e-12), cell


def check_tags(cell: Cell, tags: dict[str, str], by_name: dict[str, Any]) -> None:
    """A run's tags: its place, what it was made from, and with whom it is paired."""
    quantile = QUANTILES[place_of(cell.method)]
    wanted = {
        "benchmark": BENCHMARK,
        "category": cell.category,
        "method": cell.method,
        "quantile": "" if quantile is None else str(quantile),
        "seed": str(cell.seed),
        "size": size_of(cell.method),
        **{name: value for name, value in told_provenance(cell).items() if name != "backbone"},
        "code_digest": "code-of-all",
        **{f"version.{name}": version for name, version in told_versions(cell).items()},
    }
    assert {name: tags.get(name) for name in wanted} == wanted
    assert re.fullmatch(rf"{BENCHMARK}/{cell.path}/[0-9a-f]{{12}}", tags["key"]), tags["key"]
    inactive = {True: "inactive", False: "active"}[is_inactive(cell.method, cell.category)]
    assert tags.get("constraint") == (inactive if watched_of(cell) else None)
    baseline = cell._replace(method=baseline_of(cell.method))
    paired = None if cell == baseline else by_name[baseline.path].info.run_id
    assert tags.get("paired_baseline") == paired


def told_numbers(cell: Cell) -> dict[str, float]:
    """The metrics of a run in MLflow, but for its losses."""
    numbers = {f"{metric}.{column}": told(cell, metric, column) for metric in METRICS for column in COLUMNS}
    for kind, defects in DEFECTS.items():
        numbers |= {f"au_spro_0.05.{kind}.{defect}": told_defect(cell, kind, defect, "0.05") for defect in defects}
        numbers |= {f"image_auroc.{kind}.{defect}": told_defect_auroc(cell, kind, defect) for defect in defects}
        numbers |= {f"images.{kind}.{defect}": WITH_DEFECT[defect] for defect in defects}
        shares = {defect: told_found(cell, defect) / WITH_DEFECT[defect] for defect in defects}
        numbers |= {f"found.0.05.{kind}.{defect}": share for defect, share in shares.items()}
    for rate in RATES:
        wrong = {folder: number / IMAGES[folder] for folder, number in told_verdicts(cell, rate).items()}
        numbers[f"false_alarms.{rate}"] = wrong.pop("good")
        numbers |= {f"missed.{rate}.{kind}": share for kind, share in wrong.items()}
    if cell.method not in BASELINES:
        for metric, column in itertools.product(("image_auroc", "au_spro_0.05"), COLUMNS):
            numbers[f"difference.{metric}.{column}"] = gain_of(metric, column, *cell)
        numbers["constraint.inside_margin"] = told_inside(cell)
        numbers["constraint.novel_threshold"] = told_watched(cell, "novel_threshold", STEPS[-1])
    return numbers | {f"cost.{name}": value for name, value in told_cost(cell).items()}


@pytest.mark.parametrize("cell", CELLS[:: len(SEEDS) + 1], ids=lambda cell: cell.path)
def test_a_runs_curve_and_files_in_mlflow(root: Path, whole: Tables, cell: Cell, tmp_path: Path) -> None:
    folder = receipt_of(root, cell).parent
    run_id = json.loads((folder / "run.json").read_text())["run_id"]
    files = {f"curves/{name}": name for name in ("curves.csv", "curves.png")} | {"model/model.pt": "model.pt"}
    names = ("training.json", "training_curve.csv", "scores.csv", "metrics.json", "heatmaps.png")
    files |= {name: name for name in names}
    assert set(files.values()) == set(TRACKED) < {path.name for path in folder.iterdir()}
    with tracking_client(uri_of(root)) as client:
        for loss in LOSSES:
            curve = [(point.step, point.value) for point in client.get_metric_history(run_id, f"loss/{loss}")]
            assert sorted(curve) == [(step, told_loss(cell, loss, step)) for step in STEPS]
        for name in watched_of(cell):
            curve = [(point.step, point.value) for point in client.get_metric_history(run_id, f"constraint/{name}")]
            assert sorted(curve) == [(step, told_watched(cell, name, step)) for step in STEPS]
        listed = {file.path for place in (None, "model", "curves") for file in client.list_artifacts(run_id, place)}
        assert listed == {*files, "model", "curves"}
        for path, name in files.items():
            tracked = Path(client.download_artifacts(run_id, path, str(tmp_path)))
            assert tracked.read_bytes() == (folder / name).read_bytes()


def test_a_teacher_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    receipt = json.loads(track_told_teacher(tmp_path / "results" / BENCHMARK, uri_of(tmp_path)).read_text())
    with tracking_client(uri_of(tmp_path)) as client:
        run = client.get_run(receipt["run_id"])
        assert client.get_experiment(run.info.experiment_id).name == receipt["experiment"] == f"{BENCHMARK}-teachers"
        curve = client.get_metric_history(receipt["run_id"], "loss/distillation")
        files = {file.path for place in (None, "model") for file in client.list_artifacts(receipt["run_id"], place)}
    assert run.info.run_name == "teacher tiny"
    assert run.data.tags["key"] == receipt["key"] == "told/teachers/tiny/teacher-prin"
    wanted = {"teacher": "pretrained here", "digest": "teacher-of-tiny", "commit": "commit-of-teacher",
              "hardware": "cuda (card 9)"}  # fmt: skip
    assert wanted.items() <= run.data.tags.items()
    assert run.data.params == {"size": "tiny", "steps": "40", "learning_rate": "0.0002"}
    assert [(point.step, point.value) for point in curve] == [(1, 5.5), (40, 2.5)]
    numbers = {name: value for name, value in run.data.metrics.items() if not name.startswith("loss/")}
    assert numbers == {"distillation": 2.5, "cost.seconds": 11, "cost.gpu_seconds": 12, "cost.peak_memory_bytes": 13}
    assert {"model/teacher.pt", "teacher.json"} <= files
