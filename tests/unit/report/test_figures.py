"""Figures by what stands in them: which numbers and images, under which titles, in which order, from told data."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dfsc.inference.maps import SmallMaps, write_maps
from dfsc.metrics.summary import Evaluation
from dfsc.model.networks import EfficientAD
from dfsc.report.figures.curves import draw_curves
from dfsc.report.figures.from_tables import draw_auroc_over_quantile, draw_score_histograms
from dfsc.report.figures.heatmaps import draw_heatmaps, worst_examples
from dfsc.report.figures.novelty import constraint_at, draw_novelty, draw_novelty_over_training
from dfsc.report.figures.plotting import COLOURS
from dfsc.report.tables import Context
from dfsc.settings.grid import Grid
from support.command_line import dfsc
from support.models import save_network

SIZES, CATEGORIES, ALL = ["S", "M"], ["coin_tray", "picture_wall"], "mean of categories"
COLUMNS = ("logical_anomalies", "structural_anomalies", "mean")
FOLDERS = ("good", "logical_anomalies", "structural_anomalies")
# By size; neither in the quantiles' order nor in the alphabet's.
METHODS = {
    size: [f"efficientad-{size}", *(f"dfsc-{size}-q{rest}" for rest in ("0.99", "0.5", "0.9", "0.9-margin_0.5"))]
    for size in SIZES
}
BASELINES, DECLARED = ["efficientad-S", "efficientad-M"], ["dfsc-S-q0.9", "dfsc-M-q0.9"]
GRID = Grid.from_config(
    {
        "benchmark": "figures",
        "dataset": {"source": "generated", "categories": CATEGORIES},
        "training": {"sizes": SIZES, "seeds": [0, 4]},
        "dfsc": {"quantiles": [0.99, 0.5, 0.9], "headline_quantile": 0.9, "ablations": [{"margin": 0.5}]},
    }
)
assert GRID.names == [*METHODS["S"], *METHODS["M"]] and GRID.headlines == DECLARED


def context(partial: bool = False) -> Context:
    """What captions say."""
    return Context(GRID, "told (7 images)", partial)


def files(folder: Path) -> set[str]:
    """Names of all files."""
    return {path.name for path in folder.iterdir()}


# AUROC over the quantile.

Row = dict[str, Any]


def comparison() -> dict[tuple[str, ...], Row]:
    """A comparison whose every number is another, by (metric, category, method, column)."""
    rows: dict[tuple[str, ...], Row] = {}
    places = (
        (metric, category, method, column)
        for metric, size, category in itertools.product(("au_spro_0.05", "image_auroc"), SIZES, (*CATEGORIES, ALL))
        for method, column in itertools.product(METHODS[size], COLUMNS)
    )
    for number, place in enumerate(places):
        names = dict(zip(("metric", "category", "method", "anomaly_type"), place, strict=True))
        names["baseline"] = f"efficientad-{place[2].split('-')[1]}"
        rows[place] = names | {"value": 0.5 + number / 1000, "value_std": 0.01}
        if place[2] not in BASELINES:
            gain = 0.02 + number / 3000
            rows[place] |= {"difference": gain, "low": gain - 0.01 - number / 9000, "high": gain + 0.03 + number / 7000}
    return rows


def single(row: Row, seed: int) -> float:
    """What a seed's run measured, another number for each."""
    return float(row["value"] + (seed - 2.5) / (100 if row["method"] in BASELINES else 130))


def runs(rows: dict[tuple[str, ...], Row]) -> pd.DataFrame:
    """The runs of the grid, each with the AUROC of its seed."""
    return pd.DataFrame(
        [
            {"category": category, "method": method, "seed": seed}
            | {
                f"image_auroc.{column}": single(rows["image_auroc", category, method, column], seed)
                for column in COLUMNS
            }
            for category, method, seed in itertools.product(CATEGORIES, GRID.names, GRID.seeds)
        ]
    )


@pytest.mark.parametrize("partial", [False, True])
def test_auroc_over_quantile(tmp_path: Path, partial: bool) -> None:
    rows = comparison()
    of_runs = runs(rows)
    figures = draw_auroc_over_quantile(of_runs, pd.DataFrame(rows.values()), context(partial), tmp_path / "sweep")
    assert files(tmp_path) == {f"sweep_{baseline}.{ending}" for baseline in BASELINES for ending in ("pdf", "png")}
    assert list(figures) == BASELINES
    for size, figure in zip(SIZES, figures.values(), strict=True):
        grid = np.array(figure.axes).reshape(6, 3)
        assert [axis.get_title() for axis in grid[0]] == ["coin tray", "picture wall", ALL]
        for axis in grid[-1]:
            assert [label.get_text() for label in axis.get_xticklabels()] == ["0.5", "0.9", "0.99"]
        headings = [axis.get_ylabel().partition("\n")[0] for axis in grid[:, 0]]
        assert headings == ["logical", "difference", "structural", "difference", "mean", "difference"]
        assert "told (7 images)" in figure.get_supxlabel()
        assert "ringed: declared in the configuration;" in figure.get_supxlabel()
        assert figure.get_supxlabel().startswith("PARTIAL: runs of the grid are missing.") == partial
        for above, below, column in zip(grid[::2], grid[1::2], COLUMNS, strict=True):
            for place, category in enumerate((*CATEGORIES, ALL)):
                check_sweep(above[place], size, lambda method: rows["image_auroc", category, method, column])  # noqa: B023
                check_singles(above[place], below[place], size, category, column, of_runs)
                check_differences(below[place], size, lambda method: rows["image_auroc", category, method, column])  # noqa: B023


def order_of(size: str) -> list[str]:
    """The methods of a size, by their quantile."""
    return [f"dfsc-{size}-q{quantile}" for quantile in ("0.5", "0.9", "0.99")]


def check_sweep(axis: Axes, size: str, row_of: Callable[[str], Row]) -> None:
    """A panel: the quantiles in their order, the baseline's line, the declared ringed."""
    assert list(axis.get_xticks()) == [0, 1, 2]
    baseline, dfsc, *others = axis.get_lines()
    ring = [line for line in others if line.get_markersize() == 10]
    assert (baseline.get_label(), dfsc.get_label()) == (f"EfficientAD-{size}", f"DFSC-{size}") and len(ring) == 1
    assert set(np.ravel(baseline.get_ydata())) == {100 * row_of(f"efficientad-{size}")["value"]}
    value = np.array([100 * row_of(method)["value"] for method in order_of(size)])
    np.testing.assert_allclose(np.asarray(dfsc.get_xydata()), np.stack([[0, 1, 2], value], axis=1))
    np.testing.assert_allclose(np.asarray(ring[0].get_xydata()), [[1, value[1]]])
    bottom, top = axis.get_ylim()
    assert bottom < min(value) and max(value) < top, "no value is cut off"


def check_singles(above: Axes, below: Axes, size: str, category: str, column: str, of_runs: pd.DataFrame) -> None:
    """A point per seed beside its quantile: its AUROC above, its difference from the baseline's of that seed below."""
    metric = f"image_auroc.{column}"
    chosen = of_runs if category == ALL else of_runs[of_runs["category"] == category]
    mean = chosen.groupby(["method", "seed"])[metric].mean()
    values = np.array([[100 * mean[method, seed] for seed in GRID.seeds] for method in order_of(size)])
    baseline = np.array([100 * mean[f"efficientad-{size}", seed] for seed in GRID.seeds])
    for axis, wanted in ((above, values), (below, values - baseline)):
        (points,) = (line for line in axis.get_lines() if line.get_markersize() == 2.8)
        np.testing.assert_allclose(np.ravel(points.get_ydata()), wanted.ravel())
        assert np.round(np.ravel(points.get_xdata())).tolist() == [0, 0, 1, 1, 2, 2]


def check_differences(axis: Axes, size: str, row_of: Callable[[str], Row]) -> None:
    """The difference and its interval at each quantile; the axis is set by points, and holds them all."""
    gain, low, high = (
        np.array([100 * row_of(method)[name] for method in order_of(size)]) for name in ("difference", "low", "high")
    )
    (bars,) = axis.collections
    for place, path in enumerate(bars.get_paths()):
        np.testing.assert_allclose(np.asarray(path.vertices), [[place, low[place]], [place, high[place]]])
    (means,) = (line for line in axis.get_lines() if line.get_markersize() == 5)
    np.testing.assert_allclose(np.asarray(means.get_xydata()), np.stack([[0, 1, 2], gain], axis=1))
    bottom, top = axis.get_ylim()
    points = np.concatenate([np.ravel(line.get_ydata()) for line in axis.get_lines()])
    assert bottom == -top and np.abs(points).max() < top


def test_a_quantile_that_a_category_lacks_leaves_the_others_in_their_place(tmp_path: Path) -> None:
    rows = [row for row in comparison().values() if row["category"] == CATEGORIES[0] or row["method"] != "dfsc-S-q0.5"]
    frame = runs(comparison())
    frame = frame[(frame["category"] == CATEGORIES[0]) | (frame["method"] != "dfsc-S-q0.5")]
    figure = draw_auroc_over_quantile(frame, pd.DataFrame(rows), context(True), tmp_path / "sweep")["efficientad-S"]
    rows_of_axes = zip(figure.axes[-6:-3], figure.axes[-3:], ([0, 1, 2], [1, 2], [1, 2]), strict=True)
    for axis, lowest, places in rows_of_axes:
        assert [label.get_text() for label in lowest.get_xticklabels()] == ["0.5", "0.9", "0.99"]
        (dfsc,) = (line for line in axis.get_lines() if line.get_label() == "DFSC-S")
        assert np.asarray(dfsc.get_xdata()).tolist() == places


def test_what_has_no_quantile_is_not_among_the_quantiles(tmp_path: Path) -> None:
    """A deviation of Table 7, and a method from outside, which are compared with the same baseline."""
    others = [
        replace(GRID.methods[0], name="efficientad-S-no_penalty", protocol={"no_penalty": True}),
        replace(GRID.methods[0], name="theirs", size="", origin="command"),
    ]
    rows, frame = comparison(), runs(comparison())
    more = [row | {"method": one.name} for one in others for row in rows.values() if row["method"] == "dfsc-S-q0.5"]
    frames = [frame, *(frame[frame["method"] == "dfsc-S-q0.5"].assign(method=one.name) for one in others)]
    wider = replace(context(), grid=replace(GRID, methods=[*GRID.methods, *others]))
    shown = pd.DataFrame([*rows.values(), *more])
    figure = draw_auroc_over_quantile(pd.concat(frames), shown, wider, tmp_path / "sweep")["efficientad-S"]
    for row, column in zip(np.array(figure.axes).reshape(6, 3)[::2], COLUMNS, strict=True):
        for axis, category in zip(row, (*CATEGORIES, ALL), strict=True):
            check_sweep(axis, "S", lambda method: rows["image_auroc", category, method, column])  # noqa: B023


def test_a_constraint_that_did_not_act_is_marked_where_its_numbers_stand(tmp_path: Path) -> None:
    marked = replace(context(), inactive=frozenset({("coin_tray", "dfsc-S-q0.9"), (ALL, "dfsc-S-q0.99")}))
    rows = comparison()
    frame = pd.DataFrame(rows.values())
    figure = draw_auroc_over_quantile(runs(rows), frame, marked, tmp_path / "sweep")["efficientad-S"]
    for row in np.array(figure.axes).reshape(6, 3)[::2]:
        crosses = [
            [line.get_xdata() for line in axis.get_lines() if line.get_label() == "constraint inactive"] for axis in row
        ]
        assert [[list(places) for places in found] for found in crosses] == [[[1]], [], [[2]]]
    scores = pd.DataFrame(
        [{"category": category, "method": method, "seed": 0, "path": f"test/{folder}/{number}.png",
          "image_score": number + 0.1}
         for category in CATEGORIES for method in GRID.names for folder in FOLDERS for number in range(3)]
    )  # fmt: skip
    histograms = draw_score_histograms(scores, marked, tmp_path / "h")["dfsc-S-q0.9"]
    assert [axis.get_title(loc="right") for axis in histograms.axes] == ["", "", "constraint inactive", ""]


def test_what_the_constraint_acts_on_stands_beside_the_novelty_rows(tmp_path: Path) -> None:
    curves = {"EfficientAD": tmp_path / "one.csv", "DFSC": tmp_path / "two.csv"}
    curves["EfficientAD"].write_text("step,hard\n1,2.0\n40,1.0\n")
    curves["DFSC"].write_text("step,hard,inside_margin,novel_threshold\n1,2.0,0.25,7.04\n40,1.0,0.005,3.5\n")
    assert [constraint_at(curves, "DFSC", step) for step in (1, 2, 40, None)] == [
        "\ninside margin 25.0%\nnovel from 7", *["\ninside margin 0.5%\nnovel from 3.5"] * 3
    ]  # fmt: skip
    assert constraint_at(curves, "EfficientAD") == constraint_at(None, "DFSC") == ""


# Histograms of image scores.


def test_score_histograms(tmp_path: Path) -> None:
    random, seeds = np.random.default_rng(0), [0, 4]
    rows = [
        {"category": category, "method": method, "seed": seed, "path": f"test/{folder}/{image:03}.png",
         "image_score": 10 * number + 3 * FOLDERS.index(folder) + seed / 4 + abs(random.normal())}
        for number, (category, method) in enumerate(itertools.product(CATEGORIES, GRID.names))
        for seed, folder, image in itertools.product(seeds, FOLDERS, range(20))
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    validated = frame.assign(path=frame["path"].str.replace("test/", "validation/"), image_score=999.0)
    everything = pd.concat([frame, validated[validated["path"].str.contains("good")]])
    figures = draw_score_histograms(
        everything.sample(frac=1, random_state=0).sort_values("category"), context(), tmp_path / "h"
    )
    assert files(tmp_path) == {f"h_{method}.{ending}" for method in DECLARED for ending in ("pdf", "png")}
    assert list(figures) == DECLARED
    for size, figure in zip(SIZES, figures.values(), strict=True):
        pair = [f"efficientad-{size}", f"dfsc-{size}-q0.9"]
        assert "told (7 images)" in figure.get_supxlabel()
        grid = np.array(figure.axes).reshape(2, 2)
        assert [axis.get_title() for axis in grid[0]] == ["coin tray", "picture wall"]
        labels = [axis.get_ylabel().partition("\n")[0] for axis in grid[:, 0]]
        assert labels == [f"EfficientAD-{size}", f"DFSC-{size} τ'=0.9"]
        for column, category in zip(grid.T, CATEGORIES, strict=True):
            shown = frame[(frame["category"] == category) & frame["method"].isin(pair)]
            bins = np.linspace(shown["image_score"].min(), np.quantile(shown["image_score"], 0.99), 31)
            for axis, method in zip(column, pair, strict=True):
                assert [patch.get_label() for patch in axis.patches] == ["good", "logical", "structural"]
                for patch, folder in zip(axis.patches, FOLDERS, strict=True):
                    chosen = shown[(shown["method"] == method) & shown["path"].str.startswith(f"test/{folder}/")]
                    density, _ = np.histogram(chosen["image_score"], bins, density=True)
                    corners = patch.get_xy()[1:61]
                    np.testing.assert_allclose(corners[::2, 0], bins[:-1])
                    np.testing.assert_allclose(corners[::2, 1], density)
                    colours = {to_hex(patch.get_facecolor()), to_hex(patch.get_edgecolor())}
                    assert to_hex(COLOURS[folder]) in colours


# Curves of one evaluation.


def told_evaluation() -> Evaluation:
    """Areas and curves that are each another."""
    auc_roc = {"logical_anomalies": 0.711, "structural_anomalies": 0.822, "mean": 0.7665}
    limits = ("0.01", "0.05", "0.1", "0.3", "1.0")
    auc_spro = {
        name: {limit: 0.1 * place + start for place, limit in enumerate(limits)}
        for name, start in (("logical_anomalies", 0.113), ("structural_anomalies", 0.224), ("mean", 0.168))
    }
    per_defect = {
        "logical_anomalies": {"coin_missing": {"0.05": 0.331, "1.0": 0.9}, "coin_twice": {"0.05": 0.442, "1.0": 0.91}},
        "structural_anomalies": {"scratch": {"0.05": 0.553, "1.0": 0.92}},
    }
    spro = ("logical_anomalies", "structural_anomalies",
            *(f"{kind}/{defect}" for kind, defects in per_defect.items() for defect in defects))  # fmt: skip
    curves = {name: (np.array([0, 0.02, 1]), np.array([0, 0.1 + place / 10, 1])) for place, name in enumerate(spro)}
    roc = {
        name: (np.array([0, 0.5, 1]), np.array([0, height, 1]))
        for name, height in zip(spro[:2], (0.7, 0.8), strict=True)
    }
    metrics = {
        "classification": {"auc_roc": auc_roc, "auc_roc_pooled": 0.7},
        "localization": {"auc_spro": auc_spro, "auc_spro_per_defect": per_defect},
    }
    return Evaluation(metrics, roc, curves, {})


def test_curves_of_an_evaluation(tmp_path: Path) -> None:
    evaluation = told_evaluation()
    figure = draw_curves(tmp_path / "curves", evaluation)
    titles = ["ROC", "sPRO", "sPRO by defect, logical anomalies", "sPRO by defect, structural anomalies"]
    assert [axis.get_title() for axis in figure.axes] == titles
    wanted = [
        {"0.711 logical anomalies": evaluation.roc_curves["logical_anomalies"],
         "0.822 structural anomalies": evaluation.roc_curves["structural_anomalies"]},
        {"0.513 logical anomalies": evaluation.spro_curves["logical_anomalies"],
         "0.624 structural anomalies": evaluation.spro_curves["structural_anomalies"]},
        {"0.331 coin missing": evaluation.spro_curves["logical_anomalies/coin_missing"],
         "0.442 coin twice": evaluation.spro_curves["logical_anomalies/coin_twice"]},
        {"0.553 scratch": evaluation.spro_curves["structural_anomalies/scratch"]},
    ]  # fmt: skip
    for axis, curves in zip(figure.axes, wanted, strict=True):
        found = {line.get_label(): line.get_xydata() for line in axis.get_lines()}
        assert list(found) == list(curves)
        for label, (fpr, value) in curves.items():
            np.testing.assert_array_equal(found[label], np.stack([fpr, value], axis=1))
    for axis in figure.axes[:2]:
        for line in axis.get_lines():
            assert to_hex(line.get_color()) == to_hex(
                COLOURS[str(line.get_label()).split(maxsplit=1)[1].replace(" ", "_")]
            )
    assert [axis.get_xlim()[1] for axis in figure.axes] == [1, 1, 0.05, 0.05]
    words = [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes]
    pixels = ("false positive rate of pixels", "mean sPRO")
    assert words == [("false positive rate of images", "true positive rate"), pixels, pixels, pixels]


# Images and maps.

SHAPE = (20, 30)


def grey(path: str) -> int:
    """The grey that an image of a category is filled with: another for each."""
    return 40 + 7 * sorted(IMAGES).index(path)


IMAGES = ["train/good/000.png", "train/good/001.png", "test/good/000.png", "test/good/001.png",
          *(f"test/{kind}/{number:03}.png" for kind in FOLDERS[1:] for number in range(5))]  # fmt: skip
METHOD_MAPS = {"EfficientAD-S": 0.0, "DFSC-S τ'=0.5": 100.0, "DFSC-S τ'=0.9": 200.0}
RANKS = (3, 0, 4, 1, 2)  # of the images of a type, by the last method's image scores


@pytest.fixture
def category(tmp_path: Path) -> Path:
    """A category of grey images; the defects of image k are k + 1 columns wide, at their type's side."""
    folder = tmp_path / "data" / "coin_tray"
    for path in IMAGES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SHAPE, 3), grey(path), np.uint8)).save(folder / path)
        if "anomalies" in path:
            regions = folder / "ground_truth" / Path(path).parent.name / Path(path).stem
            regions.mkdir(parents=True)
            for number, mask in enumerate(defects(path)):
                Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(regions / f"{number:03}.png")
    return folder


def defects(path: str) -> list[NDArray[np.bool_]]:
    """The regions of an image, bool [20, 30]: two, of which the union is drawn."""
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    if "anomalies" in path:
        width = int(Path(path).stem) + 1
        first[2:8, :width] = second[12:16, :width] = True
    return [first, second] if "logical" in path else [first[:, ::-1], second[:, ::-1]]


def map_value(method: str, path: str) -> float:
    """What a method's map of an image is filled with: another for each."""
    return METHOD_MAPS[method] + 10 * FOLDERS.index(Path(path).parent.name) + int(Path(path).stem)


@pytest.fixture
def maps(tmp_path: Path) -> dict[str, Path]:
    """Archives of small maps, by what the method is called."""
    archives = {method: tmp_path / f"maps{number}.npz" for number, method in enumerate(METHOD_MAPS)}
    for method, path in archives.items():
        tests = [name for name in IMAGES if name.startswith("test/")]
        small = {name: np.full((4, 4), map_value(method, name), np.float32) for name in tests}
        write_maps(path, SmallMaps(small, "replicate"))
    return archives


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Image scores of the last method, in another order than its maps."""
    lines = [f"{path},{RANKS[int(Path(path).stem)]}" for path in IMAGES if path.startswith("test/")]
    (tmp_path / "scores.csv").write_text("\n".join(["path,image_score", *lines, ""]))
    return tmp_path / "scores.csv"


@pytest.mark.parametrize("choice", ["first", "worst", "named"])
def test_heatmaps(category: Path, maps: dict[str, Path], scores: Path, tmp_path: Path, choice: str) -> None:
    named = ["test/structural_anomalies/004.png", "test/good/001.png"]
    worst = [f"test/{kind}/{RANKS.index(rank):03}.png" for kind in FOLDERS[1:] for rank in range(3)]
    first = [f"test/{kind}/{number:03}.png" for kind in FOLDERS[1:] for number in range(3)]
    figure = draw_heatmaps(
        category, maps, tmp_path / "out" / "figure",
        source="told", worst=scores if choice == "worst" else None, chosen=named if choice == "named" else None,
    )  # fmt: skip
    assert files(tmp_path / "out") == {"figure.pdf", "figure.png"}
    check_heatmaps(figure, {"first": first, "worst": worst, "named": named}[choice])
    title = figure.get_suptitle()
    assert title.startswith("coin tray") and "(pretraining images: told)" in title
    assert ("ranked lowest by DFSC-S τ'=0.9" in title) == (choice == "worst")


def test_without_anomalies_the_worst_are_the_good_images_of_the_highest_scores() -> None:
    good = {f"test/good/{number:03}.png": float(rank) for number, rank in enumerate(RANKS)}
    assert worst_examples(good, 2) == ["test/good/002.png", "test/good/000.png"]
    logical = {"test/logical_anomalies/000.png": 9.0, "test/logical_anomalies/001.png": 3.5}
    assert worst_examples(good | logical, 1) == ["test/logical_anomalies/001.png"]


def check_heatmaps(figure: Figure, examples: list[str]) -> None:
    """A row per image: it, its regions, and each method's map under the method's name, in the method's colours."""
    titles = ["image", "ground truth", "EfficientAD-S", "DFSC-S τ'=0.5", "DFSC-S τ'=0.9"]
    grid = np.array(figure.axes).reshape(len(examples), len(titles))
    assert [axis.get_title() for axis in grid[0]] == titles
    for row, path in zip(grid, examples, strict=True):
        label = path.removeprefix("test/").removesuffix(".png").replace("_anomalies", "")
        assert row[0].get_ylabel() == label
        assert (row[0].get_images()[0].get_array() == grey(path)).all()
        np.testing.assert_array_equal(row[1].get_images()[0].get_array(), np.logical_or(*defects(path)))
        for axis, method in zip(row[2:], METHOD_MAPS, strict=True):
            below, above = axis.get_images()
            assert np.asarray(below.get_array()).shape == SHAPE and (below.get_array() == grey(path)).all()
            assert np.asarray(above.get_array()).shape == SHAPE
            np.testing.assert_allclose(above.get_array(), map_value(method, path), rtol=1e-6)
            # Of two good images of one value each, the middle; and above it three times as far as the higher is.
            low = METHOD_MAPS[method] + 0.5
            assert above.get_clim() == pytest.approx((low, low + 3 * 0.5))


def test_a_maps_padding_is_drawn(category: Path, tmp_path: Path) -> None:
    small = np.arange(16, dtype=np.float32).reshape(4, 4) + 5
    for padding, corner in (("zero", 0), ("minimum", 5), ("replicate", 5)):
        maps = {path: small for path in IMAGES if path.startswith("test/")}
        write_maps(tmp_path / "m.npz", SmallMaps(maps, padding))
        figure = draw_heatmaps(category, {"a": tmp_path / "m.npz"}, tmp_path / padding)
        drawn = np.asarray(figure.axes[2].get_images()[1].get_array())
        assert drawn[0, 0] == corner and drawn.max() < 21
        down, across = (np.diff(drawn[8:12, 12:18], axis=axis) for axis in (0, 1))
        assert (down > 2).all() and (across > 0).all() and (across < 1).all(), "neither turned nor flipped"


def test_a_border_of_zeros_is_no_anomaly(category: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    maps = {path: random.normal(-1, 0.1, (4, 4)).astype(np.float32) for path in IMAGES if path.startswith("test/")}
    for padding in ("zero", "minimum"):
        write_maps(tmp_path / "m.npz", SmallMaps(maps, padding))
        figure = draw_heatmaps(category, {"a": tmp_path / "m.npz"}, tmp_path / padding)
        drawn = figure.axes[2].get_images()[1]
        low, high = drawn.get_clim()
        assert high > low, "even where nearly all of good images lies below 0, and so below the border"
        assert np.asarray(drawn.get_array())[0, 0] <= low, "the border has the colour of nothing"
        assert (low == 0) == (padding == "zero")


# What the constraint acts on.


def save_model(path: Path, seed: int) -> EfficientAD:
    """Write a model of random weights that a seed tells; returns it."""
    torch.manual_seed(seed)
    model = EfficientAD("tiny", 64).eval()
    model.feature_mean.fill_(seed / 100)
    save_network(path, model)
    return model


def squared_of(model: EfficientAD, value: int) -> torch.Tensor:
    """(T' - A)^2 of an image of one grey, [channels, h, w]."""
    pixel = (torch.full((3,), value / 255) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    image = pixel.reshape(1, 3, 1, 1).expand(1, 3, 64, 64)
    with torch.no_grad():
        teacher = (model.teacher(image) - model.feature_mean) / model.feature_std
        squared: torch.Tensor = (teacher - model.autoencoder(image))[0] ** 2
    return squared


def novel_of(squared: torch.Tensor, quantile: float) -> NDArray[np.float32]:
    """Share of the channels at or above the quantile of all elements, [h, w]."""
    found: NDArray[np.float32] = (squared >= torch.quantile(squared, quantile)).float().mean(dim=0).numpy()
    return found


def check_array(axis: Axes, wanted: NDArray[Any] | torch.Tensor) -> None:
    """The axis's one image holds these numbers."""
    (image,) = axis.get_images()
    np.testing.assert_allclose(np.asarray(image.get_array()), np.asarray(wanted), rtol=1e-4, atol=1e-6)


def test_novelty_after_training(category: Path, tmp_path: Path) -> None:
    models = {
        name: save_model(tmp_path / f"{3 - seed}.pt", seed) for seed, name in enumerate(("EfficientAD-S", "DFSC-S"), 1)
    }
    quantiles = [0.5, 0.95]
    # Called otherwise than their files, which lie in another order.
    paths = {name: tmp_path / f"{number}.pt" for number, name in zip((2, 1), models, strict=True)}
    figure = draw_novelty(paths, category, quantiles, tmp_path / "novelty", "told")
    examples = ["train/good/000.png", "test/logical_anomalies/000.png", "test/structural_anomalies/000.png"]
    grid = np.array(figure.axes).reshape(len(examples) * 2, 5)
    titles = ["image", "ground truth", "(T' − A)²", "novel, τ'=0.5", "novel, τ'=0.95"]
    assert [axis.get_title() for axis in grid[0]] == titles
    assert figure.get_suptitle() == "coin tray, after training (pretraining images: told)"
    for row, (path, name) in zip(grid, itertools.product(examples, models), strict=True):
        assert row[0].get_ylabel() == f"{name}\n{Path(path).parent}"
        check_array(row[0], np.full((64, 64, 3), grey(path)))
        check_array(row[1], np.logical_or(*defects(path)))
        squared = {other: squared_of(model, grey(path)) for other, model in models.items()}
        check_array(row[2], squared[name].mean(dim=0))
        highest = max(float(of_model.mean(dim=0).max()) for of_model in squared.values())
        assert row[2].get_images()[0].get_clim() == pytest.approx((0, highest), rel=1e-4)
        for axis, quantile in zip(row[3:], quantiles, strict=True):
            check_array(axis, novel_of(squared[name], quantile))
            assert axis.get_images()[0].get_clim()[0] == 0


LOG_IMAGE = np.full((8, 8, 3), 99, np.uint8)


def write_logs(folder: Path) -> dict[str, dict[int, NDArray[np.float16]]]:
    """Write 2.npz and 1.npz, as a training keeps (T' - A)^2 of an image; returns that by label and step."""
    random = np.random.default_rng(0)
    kept = {
        name: {step: random.random((6, 4, 4)).astype(np.float16) for step in steps}
        for name, steps in (("EfficientAD-S", (1, 30, 100)), ("DFSC-S τ'=0.9", (1, 100)))
    }
    for number, by_step in zip((2, 1), kept.values(), strict=True):
        arrays: dict[str, Any] = {str(step): of_step for step, of_step in by_step.items()}
        np.savez(folder / f"{number}.npz", image=LOG_IMAGE, **arrays)
    return kept


def test_novelty_over_training(tmp_path: Path) -> None:
    kept = write_logs(tmp_path)
    logs = {name: tmp_path / f"{number}.npz" for number, name in zip((2, 1), kept, strict=True)}
    figure = draw_novelty_over_training(logs, [0.5, 0.9], tmp_path / "over", "coin_tray (told)")
    rows = [(name, step) for name, by_step in kept.items() for step in by_step]
    grid = np.array(figure.axes).reshape(len(rows), 4)
    assert [axis.get_title() for axis in grid[0]] == ["image", "(T' − A)²", "novel, τ'=0.5", "novel, τ'=0.9"]
    assert figure.get_suptitle() == "coin tray (told)"
    for row, (name, step) in zip(grid, rows, strict=True):
        assert row[0].get_ylabel() == f"{name}\nstep {step}"
        check_array(row[0], LOG_IMAGE)
        squared = torch.from_numpy(kept[name][step]).float()
        check_array(row[1], squared.mean(dim=0))
        for axis, quantile in zip(row[2:], (0.5, 0.9), strict=True):
            check_array(axis, novel_of(squared, quantile))


# The command line.


def check_drawn(tmp_path: Path, arguments: list[object], draw: Callable[[Path], object]) -> None:
    """A command leaves the picture that a function draws, to the byte."""
    outcome = dfsc(*arguments, "--output", tmp_path / "by_command")
    assert outcome.code == 0, outcome.errors
    draw(tmp_path / "by_function")
    assert (tmp_path / "by_command.png").read_bytes() == (tmp_path / "by_function.png").read_bytes()


@pytest.mark.parametrize("choice", ["first", "worst", "named"])
def test_the_command_draws_heatmaps(
    category: Path, maps: dict[str, Path], scores: Path, tmp_path: Path, choice: str
) -> None:
    named = ["test/structural_anomalies/004.png", "test/good/001.png"]
    more: dict[str, list[object]] = {
        "first": [],
        "worst": ["--worst", scores, "--source", "told"],
        "named": ["--images", named[0], "--images", named[1]],
    }
    given = [*maps.values(), *(f"--label={method}" for method in maps)]
    data = ["--dataset", category.parent, "--category", category.name]

    def draw(output: Path) -> None:
        draw_heatmaps(
            category, maps, output, source="told" if choice == "worst" else "",
            worst=scores if choice == "worst" else None, chosen=named if choice == "named" else None,
        )  # fmt: skip

    check_drawn(tmp_path, ["heatmaps", *given, *data, *more[choice]], draw)


def test_the_commands_draw_novelty(category: Path, tmp_path: Path) -> None:
    labels = ["EfficientAD-S", "DFSC-S τ'=0.9"]
    models = {label: tmp_path / f"{seed}.pt" for seed, label in enumerate(labels, 1)}
    for seed, path in enumerate(models.values(), 1):
        save_model(path, seed)
    given = [f"--label={label}" for label in labels]
    data = ["--dataset", category.parent, "--category", category.name]
    curves = {label: tmp_path / f"{number}.csv" for number, label in zip((2, 1), labels, strict=True)}
    for number, path in enumerate(curves.values(), 1):
        path.write_text(f"step,inside_margin,novel_threshold\n1,0.{number},{number}.5\n100,0.{number}1,{number}.25\n")
    with_curves = [*given, *(f"--curve={path}" for path in curves.values())]
    logs = {label: tmp_path / f"{number}.npz" for number, label in zip((2, 1), write_logs(tmp_path), strict=True)}
    for more, beside in ((given, None), (with_curves, curves)):
        check_drawn(
            tmp_path,
            ["novelty", *models.values(), *more, *data, "--quantiles", "0.5,0.95", "--source", "told"],
            lambda output: draw_novelty(models, category, [0.5, 0.95], output, "told", beside),  # noqa: B023
        )
        check_drawn(
            tmp_path,
            ["novelty-over-training", *logs.values(), *more, "--quantiles", "0.5,0.9", "--title", "a title"],
            lambda output: draw_novelty_over_training(logs, [0.5, 0.9], output, "a title", beside),  # noqa: B023
        )


COMMANDS: dict[str, list[object]] = {
    "heatmaps": [],
    "novelty": ["--quantiles", "0.5"],
    "novelty-over-training": ["--quantiles", "0.5", "--title", "a title"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("labels", [["DFSC-S"], ["DFSC-S", "DFSC-S"], ["DFSC-S", "DFSC-M", "EfficientAD-S"]], ids=len)
def test_each_file_wants_a_label_of_its_own(tmp_path: Path, command: str, labels: list[str]) -> None:
    files = [tmp_path / "1.npz", tmp_path / "2.npz"]
    data = [] if command == "novelty-over-training" else ["--dataset", tmp_path, "--category", "coin_tray"]
    given = [f"--label={label}" for label in labels]
    outcome = dfsc(command, *files, *given, *data, *COMMANDS[command], "--output", tmp_path / "figure")
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert f"--label: {len(set(labels))} labels for 2 files" in outcome.errors


def test_files_without_labels_are_called_by_their_path(
    tmp_path: Path, maps: dict[str, Path], category: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = list(maps.values())
    check_drawn(
        tmp_path,
        ["heatmaps", *paths, "--dataset", category.parent, "--category", category.name],
        lambda output: draw_heatmaps(category, {str(path): path for path in paths}, output),
    )
