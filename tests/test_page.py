"""The page of results in a real Chromium, from file://: what it shows, against what Python computes of those runs."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfsc.inference.maps import read_maps
from dfsc.inference.threshold import images_needed, threshold_of
from dfsc.metrics.operating_point import RATES
from dfsc.model.maps import pad_map
from dfsc.report.operating_points import ANOMALIES, FOLDERS, POOLED, read_operating_points
from dfsc.report.page.data import as_script_text
from dfsc.report.page.maps import levels_of, scale_of
from dfsc.settings.grid import Grid
from support.browser import Browser, running_browser
from support.command_line import dfsc
from support.page_grid import make_benchmark
from support.small_sets import loco_category

RIGHT, ESCAPE = "\ue014", "\ue00c"
HOSTILE = "<img src=x onerror=alert(1)>"
A, B = "dfsc-tiny-q0.9", "efficientad-tiny"
SEEDS = [0, 1, 2]
GRID = Grid.from_config(
    {
        "benchmark": "paged",
        "dataset": {"source": "folder", "categories": ["bolts", "nuts", "plain", HOSTILE]},
        "training": {"sizes": ["tiny"], "seeds": SEEDS},
        "dfsc": {"quantiles": [0.9, 0.99], "headline_quantile": 0.9, "ablations": []},
        "methods": {"theirs": {"label": f"Theirs </script>{HOSTILE}", "command": "run", "seeds": False}},
    }
)
UNTYPED = "test/untyped_anomalies"


@dataclass(frozen=True)
class Page:
    """A page, and the results that it is of."""

    root: Path
    browser: Browser

    @property
    def results(self) -> Path:
        return self.root / "results/paged"

    @property
    def index(self) -> Path:
        return self.results / "page/index.html"

    def go(self, address: str) -> None:
        """Open the page anew, at what follows the '#'."""
        self.browser.open("about:blank")
        self.browser.open(f"{self.index.as_uri()}#{address}")

    def table(self, identity: str) -> list[list[str]]:
        """The texts of the rows of a table that are seen."""
        rows = "[...document.getElementById(arguments[0]).querySelectorAll('tbody tr')].filter(row => !row.hidden)"
        script = f"return {rows}.map(row => [...row.cells].map(cell => cell.textContent.trim().replace(/\\s+/g, ' ')))"
        return list(self.browser.run(script, identity))

    def set_rate(self, thousandths: int) -> None:
        """Move the slider of the view that is seen, as a hand does."""
        self.browser.run(
            "const slider = document.querySelector('main > section:not([hidden]) [name=rate]');"
            "slider.value = arguments[0]; slider.dispatchEvent(new Event('input', {bubbles: true}))",
            thousandths,
        )

    def images(self) -> list[str]:
        """The images that are chosen, in their order."""
        return list(self.browser.run("return page.shown.map(page.imageName)"))


def make_images(dataset: Path) -> None:
    """Four categories: as LOCO's; of an unknown type and without masks; without anomalies; and of hostile names."""
    for category in GRID.categories:
        name = (lambda number: f"{number}{HOSTILE}.png") if category == HOSTILE else (lambda number: f"{number:03}.png")
        loco_category(dataset / category, name, good=12, anomalous=9)
    for kind in ("logical_anomalies", "structural_anomalies"):
        for category in ("nuts", "plain"):
            if category == "nuts" and kind == "logical_anomalies":
                (dataset / category / "test" / kind).rename(dataset / category / UNTYPED)
            for folder in ("test", "ground_truth"):
                for path in sorted((dataset / category / folder / kind).rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                if (dataset / category / folder / kind).exists():
                    (dataset / category / folder / kind).rmdir()
    for category in ("nuts", "plain"):
        (dataset / category / "defects_config.json").unlink()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of four categories, in a browser."""
    root = tmp_path_factory.mktemp("page")
    make_images(root / "data")
    make_benchmark(root / "data", root / "results/paged", GRID)
    outcome = dfsc("page", "--results", root / "results/paged", "--dataset", root / "data")
    assert outcome.code == 0, outcome.errors
    with running_browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open("about:blank")
        yield Page(root, browser)


@pytest.fixture(autouse=True)
def silent(page: Page) -> Iterator[None]:
    """No test leaves an error or a warning in the console, or asks anything but files."""
    for kind in ("browser", "performance"):
        page.browser.log(kind)
    yield
    assert page.browser.log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.browser.log("performance")]
    asked = [message["params"]["request"]["url"] for message in messages if "request" in message.get("params", {})]
    assert asked and [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_the_first_screen_answers(page: Page) -> None:
    page.browser.resize(1400, 1000)
    page.go("")
    page.browser.wait_for("Does DFSC-tiny τ'=0.9 tell anomalous images from good ones better", "not measured")
    assert page.browser.shows("What it rests on") and page.browser.shows("Paired differences")
    page.go("view=answer")
    text = page.browser.text()
    assert "24 of 24" not in text and "40 of 40; 4 methods, seeds 0, 1, 2" in text
    assert page.browser.hidden_width() == 0


def test_a_chart_is_drawn_and_said_in_words(page: Page) -> None:
    page.go("view=answer")
    drawn = "return document.querySelectorAll('#forest .scatterlayer .trace').length"
    end = 100
    while not page.browser.run(drawn) and (end := end - 1):
        pass
    assert page.browser.run(drawn) == 4, "logical, structural, untyped, mean"
    words = page.browser.run("return document.getElementById('forest').getAttribute('aria-label')")
    assert "bolts, logical: " in words and "nuts, untyped: " in words


def test_tables_are_sorted_and_filtered(page: Page) -> None:
    page.go("view=tables")
    column = "(//article[@id='table1_image_auroc']//th/button)[3]"
    before = page.table("table1_image_auroc")
    values = {}
    for order in ("descending", "ascending"):
        page.browser.click(column)
        texts = [row[2] for row in page.table("table1_image_auroc")]
        measured = [float(text.split()[0]) for text in texts if text != "not measured"]
        assert texts[len(measured) :] == ["not measured"] * (len(texts) - len(measured)), "comes last"
        assert measured == sorted(measured, reverse=order == "descending") and len(set(measured)) > 3
        values[order] = measured
        said = "return document.querySelector('#table1_image_auroc th:nth-child(3)').ariaSort"
        assert page.browser.run(said) == order
    assert sorted(values["ascending"]) == sorted(values["descending"])
    page.go("view=tables&category=bolts&type=logical_anomalies")
    rows = page.table("table1_image_auroc")
    assert len(rows) == 3 and {row[0] for row in rows} == {"bolts"} and len(before) > 10
    heads = "[...document.querySelectorAll('#table1_image_auroc th')].filter(head => !head.hidden)"
    assert page.browser.run(f"return {heads}.map(head => head.innerText)") == [
        "category",
        "method",
        "logical",
        "mean",
        "P(better)",
        "inside margin",
        "source",
    ]


def test_a_table_is_copied_as_it_is_seen(page: Page) -> None:
    page.go("view=tables&category=bolts&type=logical_anomalies")
    copied = "return page.copied(document.querySelector('#table1_image_auroc table'), arguments[0])"
    rows = list(csv.reader(page.browser.run(copied, "csv").splitlines()))
    assert rows[0] == ["category", "method", "logical", "mean", "P(better)", "inside margin", "source"]
    assert [row[1] for row in rows[1:]] == ["EfficientAD-tiny", "DFSC-tiny τ'=0.9", f"Theirs </script>{HOSTILE}"]
    assert rows[2][2].count("(") == 1 and rows[2][2].endswith("])"), "with the difference and its interval"
    lines = page.browser.run(copied, "tex").splitlines()
    assert lines[0] == r"\begin{tabular}{lllllll}" and lines[2].startswith("category & method & logical & mean &")
    assert r"DFSC-tiny $\tau'$=0.9" in lines[5] and r"$\pm$" in lines[5] and "Theirs $<$/script$>$" in lines[6]


def test_a_number_leads_to_its_runs(page: Page) -> None:
    page.go("view=tables")
    row = "//article[@id='table1_image_auroc']//tr[@data-category='bolts' and @data-method='dfsc-tiny-q0.9']"
    page.browser.click(f"({row}//a)[1]")
    page.browser.wait_for("3 runs")
    runs = pd.read_csv(page.results / "tables/runs.csv", dtype={"run_id": str})
    chosen = runs[(runs["category"] == "bolts") & (runs["method"] == A)]
    shown = page.table("run-table")
    assert [cells[2] for cells in shown] == list(chosen["run_id"])
    assert [cells[1] for cells in shown] == [f"{100 * value:.2f}" for value in chosen["image_auroc.logical_anomalies"]]
    page.browser.click("(//table[@id='run-table']//button)[2]")
    page.browser.wait_for("ROC of images", "sPRO", "Training", "results/paged/bolts/dfsc-tiny-q0.9/seed1")


def expected_counts(points: pd.DataFrame, category: str, rate: float, folder: str, method: str) -> str:
    """What the page says of a row of Table 5."""
    chosen = (points["category"] == category) & (points["promised"] == rate) & (points["folder"] == folder)
    row = points[chosen & (points["method"] == method)].iloc[0]
    if math.isnan(row["images"]) or not row["validation"]:
        return "not measured"
    if math.isnan(row["wrong"]):
        return f"not promised: {row['validation']:g} images"
    each = f" ({row['counts']})" if len(row["counts"].split()) > 1 else ""
    wrong = f"{row['wrong']:.1f}".removesuffix(".0")
    return f"{wrong} of {row['images']:g}{each}: {100 * row['rate']:.1f} %"


def test_the_slider_recounts_table_5(page: Page) -> None:
    points = read_operating_points(page.results / "tables")
    page.go(f"view=points&a={A}&b={B}")
    page.browser.wait_for("false alarms", "all categories")
    compared = 0
    for rate in RATES:
        page.set_rate(round(1000 * rate))
        page.browser.wait_for(f"{100 * rate:g} %")
        page.browser.run("return page.views.points().then(() => 1)")
        for category, what, of_a, of_b, both in page.table("point-table"):
            folder = {"false alarms": "good"} | {name: folder for folder, name in FOLDERS.items()}
            name = POOLED if category == "all categories" else category
            where = (name, rate, folder[what])
            if of_a != "not measured" or name != POOLED:
                assert of_a == expected_counts(points, *where, A), where
                assert of_b == expected_counts(points, *where, B), where
            row = points[(points["category"] == name) & (points["promised"] == rate)]
            row = row[(row["folder"] == folder[what]) & (row["method"] == A)].iloc[0]
            if not math.isnan(row["better"]):
                chance = f"p={row['p_value']:.3f}" if row["p_value"] >= 0.001 else "p<0.001"
                assert both == f"{row['better']:g} : {row['worse']:g}, {chance}", where
                compared += 1
            else:
                assert both == "", where
    assert compared > 12 and ANOMALIES not in FOLDERS


def test_every_rate_has_pythons_threshold(page: Page) -> None:
    scores = pd.read_csv(page.results / "tables/scores.csv")
    chosen = scores[(scores["category"] == "bolts") & (scores["method"] == B) & (scores["seed"].astype(str) == "1")]
    values = chosen.loc[chosen["path"].str.startswith("validation/"), "image_score"].to_numpy()
    page.go("view=points")
    script = """return page.category('bolts').then(data => Array.from({length: 999}, (_, place) =>
        page.threshold(data.runs[page.key(arguments[0], 1)].validation, place + 1)))"""
    found = page.browser.run(script, B)
    for thousandths, threshold in enumerate(found, 1):
        rate = thousandths / 1000
        assert threshold == (threshold_of(values, rate) if len(values) >= images_needed(rate) else None), rate


def judged_right(page: Page, category: str, method: str, seed: int, rate: float) -> dict[str, bool]:
    """Image -> whether Python finds it judged right."""
    scores = pd.read_csv(page.results / "tables/scores.csv")
    chosen = scores[(scores["category"] == category) & (scores["method"] == method)]
    chosen = chosen[chosen["seed"].astype(str) == str(seed)]
    values = dict(zip(chosen["path"], chosen["image_score"], strict=True))
    threshold = threshold_of([value for path, value in values.items() if path.startswith("validation/")], rate)
    tested = {path: value for path, value in values.items() if path.startswith("test/")}
    return {path: (value > threshold) == ("/good/" not in path) for path, value in tested.items()}


@pytest.mark.parametrize("seed", [0, 2])
def test_images_are_chosen_by_verdict(page: Page, seed: int) -> None:
    of_a, of_b = (judged_right(page, "bolts", method, seed, 0.05) for method in (A, B))
    wanted = {
        "a-right": {path for path in of_a if of_a[path] and not of_b[path]},
        "a-wrong": {path for path in of_a if of_b[path] and not of_a[path]},
        "alarms": {path for path in of_a if "/good/" in path and not (of_a[path] and of_b[path])},
    }
    for show, paths in wanted.items():
        page.go(f"view=images&category=bolts&a={A}&b={B}&seed={seed}&show={show}")
        page.browser.wait_for(f"{len(paths)} of 30 images")
        assert set(page.images()) == {f"bolts/{path}" for path in paths}
    assert any(wanted.values())


def test_images_are_sorted(page: Page) -> None:
    scores = pd.read_csv(page.results / "tables/scores.csv")
    chosen = scores[(scores["category"] == "bolts") & (scores["method"] == A) & (scores["seed"].astype(str) == "0")]
    tested = chosen[chosen["path"].str.startswith("test/")].sort_values("image_score", ascending=False)
    page.go(f"view=images&category=bolts&a={A}&b={B}&sort=high")
    page.browser.wait_for("30 of 30 images")
    assert page.images() == [f"bolts/{path}" for path in tested["path"]]


def test_a_card_shows_maps_scores_and_verdicts(page: Page) -> None:
    page.browser.resize(1400, 1000)
    page.go("view=images&category=bolts&sort=name&show=logical_anomalies")
    page.browser.wait_for("9 of 30 images", "EfficientAD-tiny", "logical: missing")
    first = page.images()[0].removeprefix("bolts/")
    small = read_maps(page.results / f"bolts/{A}/seed0/maps.npz")
    padded = {path: pad_map(one, small.padding) for path, one in small.maps.items()}
    levels = levels_of(padded[first], *scale_of(small.maps, small.padding))
    script = """const canvas = document.querySelector('.card .tile canvas');
        if (!canvas || canvas.height === 150) return null;
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.height, canvas.width, ...pixels.filter((_, place) => place % 4 === 3)]"""
    tries = 100
    while (found := page.browser.run(script)) is None and (tries := tries - 1):
        pass
    assert found[:2] == list(levels.shape)
    opacity = np.minimum(2 * levels.astype(float) / 63, 1) * 255 * 0.75
    assert np.abs(np.array(found[2:]) - opacity.ravel()).max() <= 1 and opacity.max() > 100


def test_an_image_opens_and_the_keyboard_goes_on(page: Page) -> None:
    page.go("view=images&category=bolts&sort=name")
    page.browser.wait_for("30 of 30 images")
    names = page.images()
    page.browser.click("(//div[@id='cards']//h3/button)[1]")
    page.browser.wait_for(names[0], "Opacity of the map", "score")
    page.browser.press(RIGHT)
    page.browser.wait_for(names[1])
    address = str(page.browser.run("return location.hash"))
    page.browser.press(ESCAPE)
    page.browser.run("return new Promise(done => setTimeout(done, 200))")
    assert page.browser.run("return document.getElementById('large').open") is False
    assert page.browser.run("return document.activeElement.textContent").startswith("bolts / 00"), "focus comes back"
    page.go(address.removeprefix("#"))
    page.browser.wait_for(names[1], "2 of 30")
    assert page.browser.run("return document.getElementById('large').open") is True


def test_what_is_not_measured_is_said(page: Page) -> None:
    page.go("view=images&category=nuts&show=untyped_anomalies")
    page.browser.wait_for("9 of 21 images", "untyped, without masks", "not measured")
    page.go("view=images&category=plain&show=missed")
    page.browser.wait_for("0 of 12 images")
    page.go("view=points&category=plain")
    page.browser.wait_for("false alarms")
    assert "missed" not in " ".join(row[1] for row in page.table("point-table"))
    page.go(f"view=points&a=theirs&b={B}&category=bolts")
    page.browser.wait_for("not measured")


def test_hostile_names_run_nothing(page: Page) -> None:
    data = page.index.with_name("data") / "category3.js"
    text = data.read_text()
    quoted = as_script_text(HOSTILE)
    assert '"missing"' in text and "<" not in text
    data.write_text(text.replace('"missing"', quoted))  # a defect so named would be refused much earlier
    for view in ("answer", "tables", "images", "points", "figures", "runs"):
        page.go(f"view={view}")
        page.browser.run("return new Promise(done => setTimeout(done, 300))")
        assert page.browser.run("return document.querySelectorAll('[onerror], img[src=x]').length") == 0
    page.go("view=images&show=logical_anomalies&category=%3Cimg+src%3Dx+onerror%3Dalert%281%29%3E")
    text = page.browser.wait_for("9 of 30 images", f"logical: {HOSTILE}")
    assert f"{HOSTILE} / 0{HOSTILE}.png" in text


def test_it_reads_on_a_phone_and_prints(page: Page) -> None:
    for width, height in ((390, 844), (800, 1000), (1400, 1000)):
        page.browser.resize(width, height)
        for view in ("answer", "tables", "images", "points", "runs"):
            page.go(f"view={view}")
            page.browser.run("return new Promise(done => setTimeout(done, 300))")
            assert page.browser.hidden_width() == 0, (width, view)
    page.go("view=answer")
    printed: dict[str, Any] = page.browser.devtools("Page.printToPDF")
    assert len(printed["data"]) > 50_000
    seen = "[...document.querySelectorAll('main > section')].filter(one => getComputedStyle(one).display !== 'none')"
    page.browser.devtools("Emulation.setEmulatedMedia", media="print")
    assert page.browser.run(f"return {seen}.map(one => one.id)") == ["answer", "tables"]
    page.browser.devtools("Emulation.setEmulatedMedia", media="")
