"""Tables from a real SQLite store with image scores: what they hold, and what they refuse by name."""

import json
import re
import shutil
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, event

from dfsc.errors import UserError
from dfsc.report.compare import ALL, COMPARED, check_scores, compare, refuse_unlike, runs_frame, split_scores
from dfsc.report.pairing import pair_runs
from dfsc.report.paper import read_paper_tables, write_paper_tables
from dfsc.report.store import tracking_client
from dfsc.report.tables import OPTIMISTIC, Context, caption, probability, reference_results
from dfsc.report.terminal import print_comparison, print_operating_points, print_tables
from dfsc.report.tracking import read_runs, read_scores
from dfsc.settings.grid import Grid
from support.checkout import CHECKOUT
from support.tracked_grid import CATEGORIES, GRID, SEEDS, track

REFERENCE = CHECKOUT / "config/reference_results.csv"
NAMES = ["table1_image_auroc", "table2_au_spro", "table3_quantiles", "table4_readings", "table5_operating_points",
         "table6_defects"]  # fmt: skip
# A line of the terminal's tables that was neither wrapped nor cut off, down to the probability at its end.
WHOLE = r"^DFSC-tiny τ'=0.9 .* [+−]\S+ \[[+−]\S+, [+−]\S+\] .*\d\.\d+$"
Store = tuple[str, Path]  # the store's address, and the folder of results


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that holds the whole grid."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        uri = f"sqlite:///{folder}/mlflow.db"
        for cell in GRID.cells():
            track(uri, folder / "results", cell.category, cell.method, int(cell.seed))
        return uri, folder / "results"


@pytest.fixture
def store(tracked: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A copy of the store and of the results, to be damaged."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(tracked[0].removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db", Path(shutil.copytree(tracked[1], tmp_path / "results"))


def receipts_of(results: Path) -> list[Path]:
    """The receipts of the whole grid."""
    return [results / cell.path / "run.json" for cell in GRID.cells()]


def run_id_of(results: Path, cell: str) -> str:
    """The run that a cell's receipt names."""
    return str(json.loads((results / cell / "run.json").read_text())["run_id"])


@pytest.fixture(scope="module")
def folder(tracked: Store) -> Path:
    """The tables of the whole grid."""
    folder = tracked[1] / "tables"
    write_paper_tables(*tracked, GRID, folder, reference=REFERENCE)
    return folder


def test_the_comparison_is_the_paired_difference_with_its_interval(tracked: Store) -> None:
    runs = read_runs(tracked[0], receipts_of(tracked[1]))
    frame, scores = runs_frame(runs, GRID), read_scores(tracked[0], runs)
    found = compare(frame, scores, GRID).set_index(["metric", "category", "method", "anomaly_type"]).sort_index()
    values = frame.set_index(["category", "method", "seed"])["image_auroc.logical_anomalies"]
    method, baseline = "dfsc-tiny-q0.9", "efficientad-tiny"
    pairs = [values["coin_tray", method, seed] - values["coin_tray", baseline, seed] for seed in SEEDS]
    row = found.loc[("image_auroc", "coin_tray", method, "logical_anomalies")]
    assert row["difference"] == pytest.approx(np.mean(pairs)) and row["difference_std"] == pytest.approx(
        np.std(pairs, ddof=1)
    )
    assert row["low"] < row["difference"] < row["high"] and row["probability"] > 0.9
    assert row["seeds"] == row["pairs"] == 3
    everything = found.loc[("image_auroc", ALL, method, "mean")]
    by_category = [found.loc[("image_auroc", category, method, "mean")] for category in CATEGORIES]
    assert everything["difference"] == pytest.approx(np.mean([row["difference"] for row in by_category]))
    assert np.isnan(found.loc[("image_auroc", ALL, baseline, "mean"), "difference"])
    one = replace(GRID, methods=[GRID.method(baseline), GRID.method(method)], headlines=[method])
    shuffled = frame[frame["method"].isin(one.names)].sample(frac=1, random_state=1)
    again = compare(shuffled, scores, one).set_index(["metric", "category", "method", "anomaly_type"])
    pd.testing.assert_series_equal(again.loc[row.name], row)


def questions(uri: str, receipts: list[Path]) -> int:
    """How often the store's database is asked while runs and their image scores are read."""
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert len(read_scores(uri, read_runs(uri, receipts))) == len(receipts)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(said)


def test_more_runs_are_read_with_no_more_questions(tracked: Store) -> None:
    receipts = receipts_of(tracked[1])
    assert 0 < questions(tracked[0], receipts) == questions(tracked[0], receipts[:2])


def test_tables_say_what_they_are(folder: Path) -> None:
    names = sorted(path.stem for path in folder.glob("table?_*.md"))
    assert names == NAMES
    for name in names:
        text = (folder / f"{name}.md").read_text()
        assert "generated (3 images)" in text and "Declared in the configuration: DFSC-tiny τ'=0.99." in text
        assert {"generated (3 images)"} == set(pd.read_csv(folder / f"{name}.csv")["pretraining_images"])
    first = (folder / "table1_image_auroc.md").read_text()
    assert "published: EfficientAD paper table 2, 5 runs" in first and "reproduced: PUAD repository, 1 run" in first
    assert "other data than ours" in first and "DFSC-tiny τ'=0.9 " not in first
    assert (folder / "table3_quantiles.md").read_text().count(OPTIMISTIC) == len(CATEGORIES) + 1
    assert "DFSC-tiny τ'=0.99, margin 0.5" in (folder / "table4_readings.md").read_text()
    assert "margin" not in (folder / "table3_quantiles.md").read_text()
    assert set(pd.read_csv(folder / "table2_au_spro.csv")["metric"]) == {
        f"au_spro_{limit}" for limit in ("0.01", "0.05", "0.1", "0.3", "1.0")
    }


def test_reference_numbers_are_kept_apart_by_kind() -> None:
    rows = reference_results("image_auroc", REFERENCE)
    assert set(rows["kind"]) == {"published", "reproduction"} and rows["source"].str.len().min() > 5
    mean = rows[(rows["method"] == "EfficientAD") & (rows["kind"] == "published") & (rows["size"] == "S")]
    assert list(mean["mean"]) == ["90.0"]


@pytest.mark.parametrize("damage", ["", "method,size\n", None, ("published", "heard"), (",mean,", ",average,")])
def test_reference_numbers_that_cannot_be_read_are_named(
    store: Store, tmp_path: Path, damage: str | tuple[str, str] | None
) -> None:
    if damage is not None:
        text = damage if isinstance(damage, str) else REFERENCE.read_text().replace(*damage)
        Path("others.csv").write_text(text)
    with pytest.raises(UserError, match=r"^others.csv: [^\n]*reference results[^\n]*$"):
        write_paper_tables(*store, GRID, tmp_path / "tables", reference=Path("others.csv"))
    assert not (tmp_path / "tables").exists()


def test_the_document_holds_every_table_once_on_pages_of_its_own(folder: Path) -> None:
    lines = (folder / "tables.tex").read_text().splitlines()
    tables = sorted(path.stem for path in folder.glob("*.tex") if path.stem != "tables")
    of_tables = lines[lines.index(r"\footnotesize") + 1 :]
    assert sorted(of_tables[:-1:2]) == [rf"\input{{{name}}}" for name in tables] and len(tables) > 3
    assert {*of_tables[1:-1:2]} == {r"\clearpage"} and of_tables[-1] == r"\end{document}"


def test_the_latex_compiles(folder: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("needs LaTeX: apt-get install texlive-latex-base texlive-latex-recommended texlive-latex-extra")
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert run.returncode == 0, run.stdout[-3000:]
    assert "Overfull" not in run.stdout


def test_without_anomalous_images_the_false_alarms_are_shown(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tables = Path(shutil.copytree(folder, tmp_path / "tables"))
    heading = (tables / "comparison.csv").read_text().splitlines()[0]
    (tables / "comparison.csv").write_text(f"{heading}\n")  # as it is where no metric compares anything
    print_tables(tables)
    printed = capsys.readouterr().out
    assert "No image is anomalous" in printed and "false alarms" in printed and "AUROC in per cent" not in printed
    # What is said of a table is as broad as a page, however broad the table or the terminal.
    assert max(len(line.rstrip()) for line in printed.splitlines() if "promises a false-alarm" in line) > 60
    print_tables(folder)
    assert "No image is anomalous" not in capsys.readouterr().out


def test_a_narrow_terminal_shows_pairs_and_tables_whole(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_comparison(folder, "au_spro_0.05", "dfsc-tiny-q0.9")
    pairs = capsys.readouterr().out
    assert "DFSC-tiny τ'=0.9 against EfficientAD-tiny" in pairs
    assert len(re.findall(r"^\d .* [+−]\d+\.\d +$", pairs, re.MULTILINE)) >= 4, pairs
    print_tables(folder)
    tables = capsys.readouterr().out
    assert len(re.findall(WHOLE, tables, re.MULTILINE)) >= 4, tables
    print_operating_points(folder)
    points = capsys.readouterr().out
    assert (
        len(re.findall(r"^DFSC-tiny τ'=0.99? .*\d of 30: \d+\.\d +[\d.]+ of 30: \d+\.\d *$", points, re.MULTILINE)) >= 4
    )
    assert len(re.findall(r"^better : worse .*\d : \d+, p.*\d : \d+, p.*\d+ *$", points, re.MULTILINE)) >= 4, points
    assert "gap (logical)" in points and "found at 5 %" in points
    assert "…" not in pairs + tables + points
    for metric, method, named in (
        ("auroc", None, "au_spro_0.05"),
        ("image_auroc", "dfsc-tiny-q0.5", "dfsc-tiny-q0.99"),
        ("image_auroc", "efficientad-tiny", "dfsc-tiny-q0.99"),
    ):
        with pytest.raises(UserError, match=named):
            print_comparison(folder, metric, method)
    with pytest.raises(UserError, match="no tables yet"):
        print_tables(folder / "none")


def test_what_is_broader_than_the_terminal_is_printed_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a name nor an interval is cut or broken: the lines are longer then."""
    monkeypatch.setenv("COLUMNS", "80")
    tables = Path(shutil.copytree(folder, tmp_path / "tables"))
    grid, label = tables / "grid.json", "DFSC-tiny with a name of many words"
    kept = json.loads(grid.read_text())
    named = [one | {"label": label} if one["name"] == "dfsc-tiny-q0.9" else one for one in kept["methods"]]
    grid.write_text(json.dumps(kept | {"methods": named}))
    comparison = pd.read_csv(tables / "comparison.csv")
    comparison.assign(low=-0.999, high=0.999).to_csv(tables / "comparison.csv", index=False)
    print_tables(tables)
    printed = capsys.readouterr().out
    interval = r"[+−]\d+\.\d \[−99\.9, \+99\.9\] +[<>]? ?\d\.\d+"
    assert len(re.findall(rf"^{label} .* {interval}$", printed, re.MULTILINE)) == 2 * (len(CATEGORIES) + 1), printed
    print_operating_points(tables)
    points = capsys.readouterr().out
    assert len(re.findall(rf"^{label} .* of [36]0: \d+\.\d *$", points, re.MULTILINE)) == len(CATEGORIES) + 1, points
    print_comparison(tables, "image_auroc", "dfsc-tiny-q0.9")
    pairs = capsys.readouterr().out
    assert "DFSC-tiny with a" in pairs and len(re.findall(r"^all .* \[−99\.9, \+99\.9\]", pairs, re.MULTILINE)) == 3
    assert "…" not in printed + points + pairs


def test_what_is_printed_has_titles_and_says_of_numbers_what_they_have(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_tables(folder)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("Table ")] == [
        "Table 1: Image AUROC (%), all methods",
        "Table 2: AU-sPRO up to FPR 0.05 (%), all methods",
    ]
    print_operating_points(folder)
    points = capsys.readouterr().out
    assert [line.rstrip() for line in points.splitlines() if line.startswith("Table ")] == [
        "Table 5: wrong verdicts where 5 % false alarms are promised, all methods",
        "Table 6: each defect type (%)",
    ]
    assert "±" not in points and "standard deviation" not in points and "Clopper" not in points
    assert "Clopper-Pearson" in (folder / "table5_operating_points.md").read_text()
    assert "mean ± standard deviation over 3 seeds" in (folder / "table6_defects.md").read_text()


def test_each_dfsc_run_carries_its_difference(tracked: Store, tmp_path: Path) -> None:
    uri, results = tracked
    pair_runs(uri, results, GRID, tmp_path / "pairs.json")
    with tracking_client(uri) as client:
        run = client.get_run(run_id_of(results, "coin_tray/dfsc-tiny-q0.99/seed1")).data
        paired = client.get_run(run_id_of(results, "coin_tray/efficientad-tiny/seed1"))
    assert run.tags["paired_baseline"] == paired.info.run_id
    assert run.metrics["difference.image_auroc.mean"] == pytest.approx(
        run.metrics["image_auroc.mean"] - paired.data.metrics["image_auroc.mean"]
    )
    assert not any(name.startswith("difference") for name in paired.data.metrics)
    pairs = json.loads((tmp_path / "pairs.json").read_text())
    assert len(pairs) == len(SEEDS) * len(CATEGORIES) * sum(not method.is_baseline for method in GRID.methods)
    written = pairs[run_id_of(results, "coin_tray/dfsc-tiny-q0.99/seed1")]
    assert written.pop("baseline") == paired.info.run_id
    assert {f"difference.{name}": value for name, value in written.items()}.items() <= run.metrics.items()


@pytest.mark.parametrize("lacking", [["picture_wall/dfsc-tiny-q0.9/seed1"], []])
def test_gaps_are_refused_by_name_or_marked_on_every_line(
    store: Store,
    tmp_path: Path,
    lacking: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cell in ("coin_tray/efficientad-tiny/seed2", *lacking):
        (store[1] / cell / "run.json").unlink()
    with pytest.raises(UserError, match=f"{1 + len(lacking)} of 24 runs .*coin_tray/efficientad-tiny/seed2"):
        write_paper_tables(*store, GRID, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
    with pytest.raises(UserError, match=f"{1 + len(lacking)} of 24 runs .*coin_tray/efficientad-tiny/seed2"):
        pair_runs(*store, GRID, tmp_path / "pairs.json")
    assert not (tmp_path / "pairs.json").exists()

    write_paper_tables(*store, GRID, tmp_path / "tables", partial=True)
    for name in NAMES:
        lines = (tmp_path / f"tables/{name}.md").read_text().splitlines()
        assert "PARTIAL" in lines[0] and all(line.startswith("| PARTIAL") for line in lines[4:])
        assert set(pd.read_csv(tmp_path / f"tables/{name}.csv")["status"]) == {"PARTIAL"}
        body = (tmp_path / f"tables/{name}.tex").read_text().split(r"\endfoot")[1].splitlines()
        assert all(line.startswith(("PARTIAL", "\\")) for line in body if line)
    _, comparison, context = read_paper_tables(tmp_path / "tables")
    pairs = comparison[(comparison["category"] == "coin_tray") & (comparison["method"] == "dfsc-tiny-q0.99")]["pairs"]
    assert context.partial and set(pairs) == {2}, "a seed without its baseline takes no part"
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    print_tables(tmp_path / "tables")
    printed = capsys.readouterr().out
    assert len(re.findall(r"^ +PARTIAL: runs of the grid are missing +$", printed, re.MULTILINE)) == 2, printed
    assert len(re.findall(WHOLE, printed, re.MULTILINE)) >= 3, printed


@pytest.mark.parametrize("changed", [{"data_digest": "x"}, {"teacher_digest": "x"}, {"code_digest": "x"},
                                     {"pretraining_images": "imagenette (9 images)"}, {"steps": "4"}])  # fmt: skip
def test_runs_not_made_alike_are_refused(store: Store, tmp_path: Path, changed: dict[str, str]) -> None:
    uri, results = store
    with tracking_client(uri) as client:
        client.delete_run(run_id_of(results, "coin_tray/dfsc-tiny-q0.9/seed1"))
    track(uri, results, "coin_tray", "dfsc-tiny-q0.9", 1, **changed)
    ((key, value),) = changed.items()
    values = rf"{key} \({re.escape(value)}, (?!{re.escape(value)})[^,)]+\)"
    for partial in (False, True):
        with pytest.raises(UserError, match=rf"coin_tray/dfsc-tiny-q0.9/seed1.*differ in (setting )?{values}"):
            write_paper_tables(uri, results, GRID, tmp_path / "tables", partial)


def test_the_first_setting_that_differs_is_named_with_both_values() -> None:
    settings = [{"batch_size": 1, "jitter": 0.2, "steps": 3}, {"batch_size": 1, "jitter": 0.1, "steps": 4}]
    frame = pd.DataFrame([{"category": "bolts", "method": "mine", "size": "S", "seed": str(seed),
                           "settings": json.dumps(chosen)} for seed, chosen in enumerate(settings)])  # fmt: skip
    with pytest.raises(UserError, match=r"mine/seed1 and bolts/mine/seed0 differ in setting jitter \(0\.1, 0\.2\);"):
        refuse_unlike(frame, ["settings"])


def test_digests_that_differ_are_named_by_their_beginnings() -> None:
    rows = [{"category": "bolts", "method": "mine", "size": "S", "seed": str(seed), "code_digest": digest}
            for seed, digest in enumerate(["a" * 64, "b" * 64])]  # fmt: skip
    with pytest.raises(UserError, match=rf"differ in code_digest \({'b' * 24}, {'a' * 24}\);"):
        refuse_unlike(pd.DataFrame(rows), ["code_digest"])


def test_doubles_and_strangers_are_refused(store: Store, tmp_path: Path) -> None:
    uri, results = store
    runs = read_runs(uri, receipts_of(results))
    with pytest.raises(UserError, match="two runs of coin_tray/efficientad-tiny/seed0"):
        runs_frame([*runs, runs[0]], GRID)
    smaller = replace(GRID, seeds=[0, 1])
    with pytest.raises(UserError, match=r"coin_tray/efficientad-tiny/seed2 is not of the grid"):
        runs_frame(runs, smaller)
    stranger = results / "coin_tray/efficientad-tiny/seed2/run.json"
    for cell, named in (("coin_tray/dfsc-tiny-q0.9/seed1", "is not of the grid"),
                        ("coin_tray/efficientad-tiny/seed1", "is not of the grid")):  # fmt: skip
        copied = Path(shutil.copytree(results, tmp_path / cell))
        shutil.copy(stranger, copied / cell / "run.json")
        with pytest.raises(UserError, match=f"run of coin_tray/efficientad-tiny/seed2 {named}"):
            write_paper_tables(uri, copied, smaller, tmp_path / "tables")
        with pytest.raises(UserError, match="two runs of coin_tray/efficientad-tiny/seed2"):
            write_paper_tables(uri, copied, GRID, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


def test_results_of_a_larger_grid_give_the_tables_of_a_smaller(store: Store, tmp_path: Path) -> None:
    smaller = replace(GRID, seeds=[0, 1])
    write_paper_tables(*store, smaller, tmp_path / "tables")
    assert set(pd.read_csv(tmp_path / "tables/runs.csv")["seed"]) == {0, 1}


def test_results_without_any_receipt_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: holds no receipt of benchmark's runs; run the workflow first"):
        write_paper_tables(store[0], Path("none"), GRID, tmp_path / "tables", partial=True)
    with pytest.raises(UserError, match="none: holds no receipt of benchmark's runs; run the workflow first"):
        pair_runs(store[0], Path("none"), GRID, tmp_path / "pairs.json")
    assert not (tmp_path / "tables").exists() and not (tmp_path / "pairs.json").exists()


def test_a_grid_that_is_none_is_refused() -> None:
    assert Grid.from_text(GRID.as_text()) == GRID
    for text in ("{}", "", "[]", GRID.as_text()[:-9], GRID.as_text().replace("seeds", "seed")):
        with pytest.raises(UserError, match=r"^--grid: "):
            Grid.from_text(text)


def test_edited_scores_are_refused(store: Store, tmp_path: Path) -> None:
    uri, results = store
    run_id = run_id_of(results, "coin_tray/efficientad-tiny/seed0")
    with tracking_client(uri) as client:
        edited = Path(client.download_artifacts(run_id, "scores.csv", str(tmp_path)))
        client.delete_run(run_id)
    text = edited.read_text()
    track(uri, results, "coin_tray", "efficientad-tiny", 0)
    run_id = run_id_of(results, "coin_tray/efficientad-tiny/seed0")
    first = next(line for line in text.splitlines() if line.startswith("test/"))
    edited.write_text(text.replace(first, f"{first.split(',')[0]},9.9"))
    with tracking_client(uri) as client:
        client.log_artifact(run_id, str(edited))
    refused = "coin_tray/efficientad-tiny/seed0: its image scores do not give its tracked AUROC"
    with pytest.raises(UserError, match=refused):
        write_paper_tables(uri, results, GRID, tmp_path / "tables")


SCORES = {"good/0": 0.1, "good/1": 0.4, "logical_anomalies/0": 0.3, "logical_anomalies/1": 0.9}  # an AUROC of 3 / 4


@pytest.mark.parametrize(
    ("changed", "tracked", "accepted"),
    [
        ({}, {"logical_anomalies": 0.75}, True),
        ({}, {"logical_anomalies": 0.75 + 1e-12}, True),
        ({}, {"logical_anomalies": 0.75 + 1e-6}, False),
        ({}, {}, False),
        ({}, {"logical_anomalies": 0.75, "structural_anomalies": 0.5}, False),
        ({"structural_anomalies/0": 0.3}, {"logical_anomalies": 0.75}, False),
        ({"structural_anomalies/0": 0.3}, {"logical_anomalies": 0.75, "structural_anomalies": 0.5}, True),
        ({"good/0": None, "good/1": None}, {"logical_anomalies": 0.75}, False),
    ],
)
def test_scores_give_the_tracked_auroc_or_are_refused(
    changed: dict[str, float | None], tracked: dict[str, float], accepted: bool
) -> None:
    """What is tracked of a type that has no images is as wrong as a type that has images and nothing tracked."""
    scores = {f"test/{path}.png": score for path, score in (SCORES | changed).items() if score is not None}
    run = {"category": "bolts", "method": "mine", "seed": "0", "run_id": "one"}
    frame = pd.DataFrame([run | {f"image_auroc.{kind}": value for kind, value in tracked.items()}])
    refused = pytest.raises(UserError, match="bolts/mine/seed0: its image scores do not give its tracked AUROC")
    with nullcontext() if accepted else refused:
        check_scores(frame, {"one": scores})


@pytest.mark.parametrize(
    ("renamed", "accepted"),
    [(("none", ""), True), (("test/good/1", "test/good/2"), False), (("validation", "v"), True)],
)
def test_runs_of_a_category_with_scores_of_other_test_images_are_refused(
    renamed: tuple[str, str], accepted: bool
) -> None:
    scores = {f"test/{path}.png": score for path, score in SCORES.items()} | {"validation/good/0.png": 0.2}
    runs = [{"category": "bolts", "method": "mine", "seed": seed, "run_id": seed} for seed in ("0", "1")]
    frame = pd.DataFrame([run | {"image_auroc.logical_anomalies": 0.75} for run in runs])
    refused = pytest.raises(UserError, match="bolts/mine/seed1: its scores are of other test images")
    with nullcontext() if accepted else refused:
        check_scores(frame, {"0": scores, "1": {path.replace(*renamed): score for path, score in scores.items()}})


def test_scores_are_split_by_the_folders_of_the_test_images() -> None:
    scores = {"test/good/1.png": 2.0, "test/good/0.png": 1.0, "test/bent/0.png": 3.0, "validation/good/0.png": 9.0}
    assert {folder: [*found] for folder, found in split_scores(scores).items() if len(found)} == {
        "good": [1.0, 2.0], "bent": [3.0],
    }  # fmt: skip


def test_a_comparison_of_nothing_has_its_columns(store: Store) -> None:
    frame = runs_frame(read_runs(store[0], receipts_of(store[1])), GRID)
    measured = [name for name in frame if name.startswith(("image_auroc", "au_spro"))]
    good_alone = {run_id: {"test/good/0.png": 0.1} for run_id in frame["run_id"]}
    empty = compare(frame.drop(columns=measured), good_alone, GRID)
    assert measured and empty.empty and list(empty) == COMPARED


@pytest.mark.parametrize(
    ("metric", "seeds", "begins", "source"),
    [
        ("image_auroc", [0, 1], "Image AUROC in per cent, mean ± standard deviation over 2 seeds.",
         "test images resampled, seeds by Student's t"),
        ("au_spro_0.05", [0, 1], "AU-sPRO up to FPR 0.05 in per cent, mean ± standard deviation over 2 seeds.",
         "Student's t over seeds"),
        ("image_auroc", [0], "Image AUROC in per cent, one seed.",
         "test images resampled; nothing said of other seeds"),
        ("au_spro_0.05", [0], "AU-sPRO up to FPR 0.05 in per cent, one seed.", "none"),
    ],
)  # fmt: skip
def test_a_caption_says_what_the_interval_is_of(metric: str, seeds: list[int], begins: str, source: str) -> None:
    said = caption(metric, Context(replace(GRID, seeds=seeds), "imagenette (9 images)", False))
    assert said.startswith(begins) and f"with its 95 % interval ({source})." in said
    assert said.endswith("images: imagenette (9 images).")


def test_a_probability_is_never_certain() -> None:
    shown = [probability(pd.Series({"probability": value})) for value in (0.0, 0.01, 0.5, 0.99, 0.9999, float("nan"))]
    assert shown == ["< 0.01", "0.01", "0.50", "0.99", "> 0.99", ""]
