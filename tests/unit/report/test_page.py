"""What the page says and hands over, without a browser; tests/test_page.py opens it in one."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfsc.inference.maps import SmallMaps, write_maps
from dfsc.report.compare import COMPARED
from dfsc.report.page import ASSETS, TEMPLATES, drawn_with
from dfsc.report.page.answer import answers, notes, rests_on
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.page.charts import forests
from dfsc.report.page.data import as_script_text, curve_data, run_data
from dfsc.report.page.images import write_images
from dfsc.report.page.maps import BLOCK, HIGHEST, LARGEST_SIDE, levels_of, packed_maps, reduced, scale_of
from dfsc.report.page.tables import page_tables
from dfsc.report.tables import Context
from dfsc.settings.grid import Grid, Method
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.page_grid import STEPS, make_benchmark
from support.small_sets import loco_category

ALL, METHOD, BASELINE = "mean of categories", "dfsc-tiny-q0.9", "efficientad-tiny"
GRID = Grid.from_config(
    {
        "benchmark": "said",
        "dataset": {"source": "folder", "categories": ["bolts"]},
        "training": {"sizes": ["tiny"], "seeds": [0, 1]},
        "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "ablations": []},
    }
)
CONTEXT = Context(GRID, "generated (3 images)", False)


def compared(low: float, high: float, kinds: tuple[str, ...] = ("logical_anomalies", "mean")) -> pd.DataFrame:
    """A comparison of one method, whose interval is given."""
    rows = [
        {"metric": "image_auroc", "baseline": BASELINE, "category": category, "method": METHOD, "anomaly_type": kind}
        | {"value": 0.9, "seeds": 2, "pairs": 2, "difference": (low + high) / 2, "low": low, "high": high}
        | {"probability": 0.7}
        for category in ("bolts", ALL)
        for kind in kinds
    ]
    return pd.DataFrame(rows, columns=COMPARED)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "difference", "interval"),
    [
        (0.002, 0.012, "better", "+0.7", "[+0.2, +1.2]"),
        (-0.03, -0.001, "worse", "−1.6", "[−3.0, −0.1]"),
        (-0.004, 0.02, "not decided", "+0.8", "[−0.4, +2.0]"),
        (0.0, 0.02, "not decided", "+1.0", "[+0.0, +2.0]"),
        (-0.02, 0.0, "not decided", "−1.0", "[−2.0, +0.0]"),
    ],
)
def test_the_verdict_is_that_of_the_interval(
    low: float, high: float, verdict: str, difference: str, interval: str
) -> None:
    (answer,) = answers(compared(low, high), CONTEXT)
    assert (answer.verdict, answer.difference, answer.interval) == (verdict, difference, interval)
    assert answer.comparison == "DFSC-tiny τ'=0.9 minus EfficientAD-tiny" and answer.chance == "0.70"
    holds = "holds" if verdict == "not decided" else "leaves out"
    assert answer.said == f"{verdict.capitalize()}: the 95 % interval {holds} 0. P(better) 0.70."
    assert answer.basis == "points of image AUROC; logical anomalies; 1 category, 2 seeds"


def test_what_was_not_measured_is_no_answer() -> None:
    (answer,) = answers(compared(0.1, 0.2, kinds=()), CONTEXT)
    assert (answer.verdict, answer.difference, answer.interval) == ("not decided", "not measured", "")
    (lacking,) = answers(compared(float("nan"), float("nan")), CONTEXT)
    assert lacking.difference == "not measured"


def test_an_inactive_constraint_and_a_single_seed_are_said() -> None:
    marked = replace(CONTEXT, inactive=frozenset({(ALL, METHOD)}), grid=replace(GRID, seeds=[0]))
    (answer,) = answers(compared(0.1, 0.2), marked)
    assert answer.comparison.startswith("DFSC-tiny τ'=0.9 (constraint inactive) minus")
    said = " ".join(notes(compared(0.1, 0.2), marked))
    assert "One seed" in said and "Constraint inactive" in said
    assert not any("seed" in note for note in notes(compared(0.1, 0.2), CONTEXT))


def test_what_a_metric_was_not_measured_of_is_said_of_each() -> None:
    said = [note.partition(":")[0] for note in notes(compared(0.1, 0.2, kinds=()), CONTEXT)]
    assert said == ["bolts has no anomalous images", "bolts has no masks"], "of image AUROC, and of AU-sPRO"


def test_the_forest_has_each_difference_with_its_interval() -> None:
    forest = forests(compared(-0.01, 0.03).assign(difference=0.005), CONTEXT)[0]
    logical, mean = forest["figure"]["data"]
    assert (logical["name"], mean["name"]) == ("logical", "mean") and logical["meta"] == "logical_anomalies"
    for trace in (logical, mean):
        assert trace["x"] == [0.5, 0.5]
        assert (trace["error_x"]["array"], trace["error_x"]["arrayminus"]) == ([2.5, 2.5], [1.5, 1.5])
    assert logical["marker"]["symbol"] != mean["marker"]["symbol"], "told apart without colour"
    assert forest["figure"]["layout"]["yaxis"]["ticktext"] == ["bolts", ALL]
    assert "bolts, logical: +0.5 [−1.0, +3.0]" in forest["text"]


def test_a_forest_says_where_a_constraint_did_not_act() -> None:
    for where, texts in (
        (ALL, ["bolts", f"{ALL}<br><i>constraint inactive</i>"]),
        ("bolts", ["bolts<br><i>constraint inactive</i>", ALL]),
    ):
        marked = replace(CONTEXT, inactive=frozenset({(where, METHOD)}))
        (forest,) = (one for one in forests(compared(0.1, 0.2), marked) if "AUROC" in one["label"])
        assert forest["figure"]["layout"]["yaxis"]["ticktext"] == texts


@pytest.fixture
def told(tmp_path: Path) -> Benchmark:
    """A benchmark whose four runs took 1 to 4 hours, a quarter of it on a GPU; the second ended last."""
    loco_category(tmp_path / "data/bolts", good=2, anomalous=2)
    make_benchmark(tmp_path / "data", tmp_path / "results", GRID)
    for number, cell in enumerate(GRID.cells(), 1):
        ended = (2, 9, 3, 4)[number - 1]
        record: dict[str, object] = {
            "started": f"2026-11-0{number}T10:00:00Z",
            "finished": f"2026-11-0{ended}T10:00:00Z",
        }
        record |= {"seconds": 3600.0 * number, "gpu_seconds": 900.0 * number}
        (tmp_path / "results" / cell.path / "training.json").write_text(json.dumps(record))
    return Benchmark.read(tmp_path / "results", tmp_path / "data")


def test_the_answer_says_what_it_rests_on(told: Benchmark) -> None:
    said = dict(rests_on(told, {"good": 2, "logical_anomalies": 3, "structural_anomalies": 0}))
    assert said == {
        "Images": "folder: bolts; test images: 2 good, 3 logical",
        "Pretraining and penalty images": "generated (2000 images)",
        "Runs": "4 of 4; 2 methods, seeds 0, 1",
        "Commit": "0123456789abcdef",
        "Finished": "2026-11-09",
        "Cost": "10 hours of training, 2.5 of them on a GPU; tables/cost.md has each method's",
        "Hardware": "CPU, 1 thread",
    }


def test_each_run_is_told_with_its_cost_metrics_and_curves(told: Benchmark) -> None:
    runs = {run["key"]: run for run in run_data(told)}
    curves = curve_data(told, "bolts")
    assert list(runs) == list(curves) == ["0/0", "0/1", "1/0", "1/1"]
    for number, (cell, run) in enumerate(zip(GRID.cells(), runs.values(), strict=True), 1):
        assert (run["category"], run["method"], run["seed"]) == (cell.category, cell.method, cell.seed)
        assert (run["cost"]["seconds"], run["cost"]["gpu_seconds"]) == (3600 * number, 900 * number)
        made = told.records[cell]
        assert [run["cost"][name] for name in ("started", "finished")] == [made["started"], made["finished"]]
        row = told.runs[(told.runs["method"] == cell.method) & (told.runs["seed"] == cell.seed)].iloc[0]
        assert run["run_id"] == row["run_id"] and run["metrics"]["image_auroc.mean"] == row["image_auroc.mean"]
        assert (run["made_from"]["commit"], run["made_from"]["data_digest"]) == ("0123456789abcdef", "bolts")
    for curve in curves.values():
        assert curve["training"]["step"] == list(STEPS)
        assert curve["training"]["hard"] == pytest.approx([2 / step**0.3 for step in STEPS], rel=1e-4)
        assert curve["spro"].keys() == {"logical_anomalies", "structural_anomalies"}
        rates, values = curve["spro"]["logical_anomalies"]
        assert rates == pytest.approx([place / 100 for place in range(31)]), "up to 0.3"
        assert values == pytest.approx([rate**0.3 for rate in rates], rel=1e-4)


def test_a_number_leads_to_the_runs_that_have_it(told: Benchmark) -> None:
    """Each link's metric is one that a run of its category and method has, of the number that is shown."""
    seen = set()
    for table in page_tables(told):
        for line, shown in [(one, shown) for one in table.lines for shown in one.cells if shown.link]:
            asked = dict(parse_qsl(shown.link.removeprefix("#"), keep_blank_values=True))
            chosen = told.runs[told.runs["method"] == asked["method"]]
            assert asked["view"] == "runs" and asked["method"] == line.method
            assert asked["category"] in ("bolts", "") and (shown.sort is None or asked["metric"] in chosen)
            if shown.sort is not None:
                assert chosen[asked["metric"]].mean() == pytest.approx(shown.sort), (table.name, asked)
                seen.add((table.name, asked["metric"]))
    assert {("table5_operating_points", f"{name}.0.05") for name in ("false_alarms", "missed")} <= {
        (table, metric.removesuffix(".logical_anomalies")) for table, metric in seen
    }
    assert ("table6_defects", "found.0.05.logical_anomalies.missing") in seen


def test_text_of_the_data_ends_no_script() -> None:
    hostile = {"</script><script>alert(1)</script>": "<!-- \u2028 \u2029 &"}
    text = as_script_text(hostile)
    assert "<" not in text and "\u2028" not in text and "\u2029" not in text
    assert json.loads(text) == hostile


def test_maps_are_packed_in_blocks_on_one_scale(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = [f"test/good/{number:03}.png" for number in range(BLOCK + 3)]
    maps = {name: random.normal(size=(5, 7)).astype(np.float32) for name in names}
    write_maps(tmp_path / "one.npz", SmallMaps(maps, "none"))
    write_maps(tmp_path / "two.npz", SmallMaps(maps, "zero"))
    blocks = list(packed_maps({"0/1": tmp_path / "one.npz", "3/1": tmp_path / "two.npz"}, names))
    assert len(blocks) == 2 and [len(block["shapes"]["0/1"]) for block in blocks] == [BLOCK, 3]
    assert blocks[0]["shapes"]["3/1"][0] == [13, 15], "padded"
    raw = np.frombuffer(gzip.decompress(base64.b64decode(blocks[1]["bytes"])), np.uint8)
    wanted = [levels_of(maps[name], *scale_of(maps, "none")).ravel() for name in names[BLOCK:]]
    np.testing.assert_array_equal(raw[: 3 * 35], np.concatenate(wanted))
    assert raw.size == 3 * (35 + 13 * 15) and raw.max() <= HIGHEST


def test_a_scale_goes_from_the_middle_of_good_images_to_well_above_them() -> None:
    good = np.arange(1001, dtype=np.float32).reshape(7, 143)
    maps = {"test/good/a.png": good, "test/logical_anomalies/a.png": good + 1e6}
    assert scale_of(maps, "none") == scale_of(maps, "zero") == pytest.approx((500, 500 + 3 * 499))
    levels = levels_of(np.array([[400, 500, 500 + 1.5 * 499, 2000, 1e6]], np.float32), *scale_of(maps, "none"))
    assert levels.tolist() == [[0, 0, 32, HIGHEST, HIGHEST]]
    flat = np.zeros((4, 4), np.float32)
    oracle = {"test/good/a.png": flat, "test/logical_anomalies/a.png": flat + 2}
    assert scale_of(oracle, "none") == (0, 2) and scale_of({"test/good/a.png": flat}, "none") == (0, 1)


def test_a_scale_begins_no_lower_than_a_border_of_zeros(tmp_path: Path) -> None:
    good = np.linspace(-1, 0.5, 1001, dtype=np.float32).reshape(7, 143)
    maps = {"test/good/a.png": good[:, :7], "test/good/b.png": good[:, 7:]}
    assert scale_of(maps, "zero") == pytest.approx((0, 3 * 0.4985)) and scale_of(maps, "minimum")[0] < -0.2
    assert scale_of({"test/good/a.png": good - 1}, "zero") == (0, 1), "all lies below the border"
    write_maps(tmp_path / "one.npz", SmallMaps({"test/good/a.png": good[:, :9]}, "zero"))
    (block,) = packed_maps({"0/1": tmp_path / "one.npz"}, ["test/good/a.png"])
    drawn = np.frombuffer(gzip.decompress(base64.b64decode(block["bytes"])), np.uint8).reshape(15, 17)
    assert drawn[:4].max() == drawn[:, :4].max() == 0, "the border is clear"


def test_a_large_map_is_reduced_to_maxima() -> None:
    large = np.zeros((200, 130), np.float32)
    large[77, 129] = 5
    small = reduced(large)
    assert small.shape == (LARGEST_SIDE, LARGEST_SIDE) and small.max() == 5 and np.count_nonzero(small) == 1
    assert reduced(large[:3, :4]).shape == (3, 4)


def test_views_of_images(tmp_path: Path) -> None:
    folder = loco_category(tmp_path / "bolts", good=2, anomalous=2)
    wide = np.zeros((300, 1000, 3), np.uint8)
    Image.fromarray(wide).save(folder / "test/good/000.png")
    said = write_images(folder, tmp_path / "views", 1, lambda done, total: None)
    assert [one["path"] for one in said] == sorted(one["path"] for one in said) and len(said) == 6
    assert said[0] == {
        "path": "test/good/000.png",
        "folder": "good",
        "size": [1000, 300],
        "defects": [],
        "masks": False,
    }
    for ending, size in (("webp", (320, 96)), ("large.webp", (800, 240))):
        with Image.open(tmp_path / f"views/0.{ending}") as view:
            assert view.size == size
    place = next(number for number, one in enumerate(said) if one["defects"] == ["missing"])
    with Image.open(tmp_path / f"views/{place}.truth.png") as truth:
        opacity = np.asarray(truth.convert("RGBA"))[..., 3]
    assert opacity[20:40, 20:40].min() > 0 and opacity[30, 30] < opacity[20, 20] and opacity[:18].max() == 0
    assert not (tmp_path / "views/0.truth.png").exists()


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    loco_category(tmp_path / "data/bolts", good=2, anomalous=2)
    make_benchmark(tmp_path / "data", tmp_path / "results", GRID)
    arguments = ("page", "--results", tmp_path / "results", "--dataset")
    outcome = dfsc(*arguments, tmp_path / "none")
    assert outcome.code == 2 and "bolts: is not there; the page shows its images" in outcome.errors
    assert dfsc(*arguments, tmp_path / "data").code == 0
    index = tmp_path / "results/page/index.html"
    before = index.read_bytes()
    maps = tmp_path / f"results/bolts/{METHOD}/seed1/maps.npz"
    maps.write_bytes(maps.read_bytes()[:100])
    outcome = dfsc(*arguments, tmp_path / "data")
    assert outcome.code == 2 and str(maps) in outcome.errors and index.read_bytes() == before
    maps.unlink()
    runs = tmp_path / "results/tables/runs.csv"
    assert "PARTIAL" not in index.read_text()
    pd.read_csv(runs).assign(status="PARTIAL").to_csv(runs, index=False)
    assert dfsc(*arguments, tmp_path / "data").code == 0, "a run without maps has none to show"
    assert "PARTIAL: runs of the grid are missing" in index.read_text()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.tex").touch()
    outcome = dfsc(*arguments, tmp_path / "data", "--output", other)
    assert outcome.code == 2 and "was not made by dfsc" in outcome.errors and (other / "thesis.tex").exists()


def test_each_figure_stands_under_its_own_title(told: Benchmark) -> None:
    figures = told.results / "figures"
    figures.mkdir()
    for name in ("novelty", "novelty_over_training", "worst"):
        Image.new("RGB", (8, 8)).save(figures / f"{name}_{METHOD}_bolts.png")
    assert dfsc("page", "--results", told.results, "--dataset", told.dataset).code == 0
    text = (told.results / "page/index.html").read_text()
    titles = ["Where the method fails", "What the constraint acts on, over training", "What the constraint acts on"]
    assert re.findall(rf"<figcaption>(.*): {METHOD} bolts<", text) == titles


def test_figures_of_what_the_grid_no_longer_has_are_not_shown(told: Benchmark) -> None:
    figures = told.results / "figures"
    figures.mkdir()
    now = [f"auroc_over_quantile_{BASELINE}", f"score_histograms_{METHOD}",
           *(f"{name}_{METHOD}_bolts" for name in ("what_changed", "heatmaps", "worst", "novelty"))]  # fmt: skip
    once = ["auroc_over_quantile_efficientad-S", "score_histograms_dfsc-tiny-q0.5", "heatmaps_dfsc-tiny-q0.5_bolts",
            f"worst_{METHOD}_nuts", f"novelty_{METHOD}_bolts_small"]  # fmt: skip
    for name in (*now, *once):
        Image.new("RGB", (8, 8)).save(figures / f"{name}.png")
    assert dfsc("page", "--results", told.results, "--dataset", told.dataset).code == 0
    assert {file.stem for file in (told.results / "page/figures").iterdir()} == set(now)
    text = (told.results / "page/index.html").read_text()
    assert all(f"figures/{name}.png" in text for name in now) and not any(name in text for name in once)


def test_a_control_on_the_page_is_not_ours(told: Benchmark) -> None:
    control = Method("oracle", "oracle (control)", "oracle", BASELINE, size="", origin="control", seeded=False)
    grid = replace(GRID, methods=[*GRID.methods, control], headlines=[*GRID.headlines, "oracle"])
    first = page_tables(replace(told, context=replace(told.context, grid=grid)))[0]
    assert [line.cells[-1].text for line in first.lines if line.category == "bolts"] == ["ours", "ours", "control"]


def test_results_of_others_stand_on_the_page(told: Benchmark) -> None:
    for more in ((), ("--reference", CHECKOUT / "config/reference_results.csv")):
        assert dfsc("page", "--results", told.results, "--dataset", told.dataset, *more).code == 0
        assert ("EfficientAD paper table 2" in (told.results / "page/index.html").read_text()) == bool(more)


def test_the_same_page_twice_has_the_same_bytes(tmp_path: Path) -> None:
    loco_category(tmp_path / "data/bolts", good=2, anomalous=2)
    make_benchmark(tmp_path / "data", tmp_path / "results", GRID)
    for name in ("one", "two"):
        arguments = ("--results", tmp_path / "results", "--dataset", tmp_path / "data")
        assert dfsc("page", *arguments, "--output", tmp_path / name).code == 0
    files = [{str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*")
              if path.is_file()} for name in ("one", "two")]  # fmt: skip
    assert files[0] == files[1] and len(files[0]) > 20


def test_templates_and_scripts_are_part_of_what_the_page_is_drawn_with() -> None:
    assert {file.name for file in TEMPLATES.iterdir()} >= {"index.html", "answer.html"}
    assert {file.name for file in ASSETS.iterdir()} >= {"page.css", "core.js"} and len(drawn_with()) == 64
    for file in [*TEMPLATES.iterdir(), *ASSETS.iterdir()]:
        text = file.read_text()
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file.name


def luminance(colour: str) -> float:
    """Relative luminance of '#rrggbb' (WCAG 2.2)."""
    colour = "#" + "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_have_contrast(scheme: int) -> None:
    style = (ASSETS / "page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block))
    for ground in ("ground", "panel", "soft"):
        for text in ("text", "muted", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    pairs = [("right", "right-ground"), ("wrong", "wrong-ground"), ("on-accent", "accent")]
    assert all(contrast(colours[one], colours[other]) >= 4.5 for one, other in pairs)
    for kind in ("logical_anomalies", "structural_anomalies", "untyped_anomalies", "mean"):
        assert contrast(colours[kind], colours["panel"]) >= 3, "a mark in a chart"
