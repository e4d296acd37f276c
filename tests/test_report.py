"""What a reviewer opens, in a real Chromium: the HTML report, and MLflow with baseline and DFSC compared."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from support.browser import Browser, running_browser
from support.checkout import Checkout
from support.local_server import free_port, wait_until_healthy


@pytest.fixture(scope="module", autouse=True)
def report(checkout: Checkout) -> None:
    """The report of the smallest configuration's run."""
    run = checkout.smallest("--report", "report.html")
    assert run.returncode == 0, run.stdout


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests."""
    with running_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def mlflow(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server on the checkout's store."""
    address = f"http://127.0.0.1:{free_port()}"
    command = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{checkout.root}/mlflow.db", "--workers", "1"]
    log = tmp_path_factory.mktemp("mlflow") / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", address.rpartition(":")[2]],
            cwd=checkout.root, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_healthy(f"{address}/health", server, log)
            yield address
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def open_item(browser: Browser, checkout: Checkout, category: str, item: str) -> None:
    """Open the report, then a category's item by its eye."""
    browser.frame(None)
    browser.open(f"{(checkout.root / 'report.html').as_uri()}?{category}-{item}".replace(" ", "-"))
    browser.click(f"//*[text()='{category}']")
    browser.click(f"(//tr[contains(., '{item}')]//a)[1]")


def scroll_metrics_to(browser: Browser, name: str) -> None:
    """Scroll the list of compared metrics, of which only the rows that are seen exist, until `name` is seen."""
    # Not the row itself into view: that would move the names against the values.
    title = "[...document.querySelectorAll('*')].filter(node => node.textContent === 'Metrics').pop()"
    browser.run(f"{title}.scrollIntoView()")
    grids = "document.querySelectorAll('.ReactVirtualized__Grid')"
    for top in range(0, 6000, 150):
        # The grid of values alone: the names beside it follow.
        browser.run(f"for (const g of {grids}) if (getComputedStyle(g).overflowY != 'hidden') g.scrollTop = {top}")
        time.sleep(0.3)
        if browser.shows(name):
            return
    raise AssertionError(f"{name} is not among the compared metrics")


def test_the_report_says_what_it_is(browser: Browser, checkout: Checkout) -> None:
    browser.open((checkout.root / "report.html").as_uri())
    words = ("benchmark smallest", "quantile of DFSC is 0.9, declared in the configuration", "Tables", "Figures",
             "Provenance", "results/smallest/page/index.html")  # fmt: skip
    browser.wait_for(*words)
    assert [word for word in words if not browser.shows(word)] == [], "seen at once, without scrolling"
    assert browser.hidden_width() == 0


@pytest.mark.parametrize(
    ("category", "item", "words"),
    [
        (
            "Tables",
            "table1",
            ("Table 1.", "EfficientAD-tiny", "DFSC-tiny τ'=0.9", "published:", "generated (6 images)"),
        ),
        ("Tables", "table2", ("Table 2.", "AU-sPRO", "P(better)")),
        ("Tables", "table3", ("Table 3.", "declared")),
        ("Tables", "table4", ("Table 4.", "No other reading was run")),
        ("Provenance and cost", "provenance", ("commit", "teacher digest", "generated (6 images)", "version of torch")),
        ("Provenance and cost", "cost", ("seconds", "peak_memory_bytes")),
    ],
)
def test_the_reports_tables_open(
    browser: Browser, checkout: Checkout, category: str, item: str, words: tuple[str, ...]
) -> None:
    open_item(browser, checkout, category, item)
    browser.frame("//iframe")
    browser.wait_for(*words)


@pytest.mark.parametrize("item", ["AUROC over quantile", "score histograms", "heatmaps", "worst", "novelty"])
def test_the_reports_figures_open_with_captions(browser: Browser, checkout: Checkout, item: str) -> None:
    open_item(browser, checkout, "Figures", item)
    widths = "return [...document.querySelectorAll('img')].map(image => image.naturalWidth)"
    browser.click(f"(//tr[contains(., '{item}')]//a)[1]")
    assert max(browser.run(widths)) > 300
    browser.click(f"(//tr[contains(., '{item}')]//a)[2]")
    caption = {"AUROC over quantile": "Dashed: EfficientAD", "score histograms": "Image scores", "worst": "Worst cases",
               "heatmaps": "Chosen before any score", "novelty": "feature distance"}  # fmt: skip
    browser.wait_for(caption[item])


def test_the_page_of_the_run_opens(browser: Browser, checkout: Checkout) -> None:
    browser.frame(None)
    browser.open((checkout.root / "results/smallest/page/index.html").as_uri())
    browser.wait_for("Does DFSC-tiny τ'=0.9 tell anomalous images", "generated (6 images)", "2 of 2; 2 methods, seed 0")
    browser.run("location.hash = 'view=images'")
    browser.wait_for("9 of 9 images", "not promised: 2 images")
    browser.run("location.hash = 'view=figures'")
    browser.wait_for("What changed: dfsc-tiny-q0.9 coin tray", "AUROC over the quantile: efficientad-tiny")


def test_mlflow_compares_baseline_and_dfsc(browser: Browser, checkout: Checkout, mlflow: str) -> None:
    client = MlflowClient(f"sqlite:///{checkout.root}/mlflow.db")
    experiment = client.get_experiment_by_name("smallest")
    assert experiment is not None
    runs = {run.data.tags["method"]: run for run in client.search_runs([experiment.experiment_id])}
    baseline, dfsc = runs["efficientad-tiny"], runs["dfsc-tiny-q0.9"]
    assert dfsc.data.tags["paired_baseline"] == baseline.info.run_id

    browser.frame(None)
    browser.open(f"{mlflow}/#/experiments/{experiment.experiment_id}/runs")
    browser.wait_for("coin_tray/efficientad-tiny/seed0", "coin_tray/dfsc-tiny-q0.9/seed0")
    names, kept = json.dumps([run.info.run_id for run in (baseline, dfsc)]), json.dumps([experiment.experiment_id])
    comparison = f"#/compare-runs?runs={quote(names)}&experiments={quote(kept)}"
    browser.open(f"{mlflow}/{comparison}")
    lost = "Runs were not found"  # said once of runs that were there; the page does not ask again by itself
    if browser.wait_for_one("Comparing 2 Runs", lost) == lost:
        browser.open(f"{mlflow}/?again{comparison}")
    browser.wait_for("Comparing 2 Runs", "au_spro_0.01.mean", "paired_baseline", baseline.info.run_id)
    scroll_metrics_to(browser, "difference.image_auroc.mean")
    assert browser.hidden_width() == 0
