"""What changed from a baseline to a method: the anomalies that the rule chooses, and the figure of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfsc.inference.maps import read_maps
from dfsc.inference.overlay import overlay
from dfsc.inference.threshold import threshold_of
from dfsc.model.maps import pad_map, resize_map
from dfsc.report.figures.what_changed import SHOWN, Changed, changed_images, draw_what_changed
from dfsc.report.paper import read_image_scores, read_paper_tables
from dfsc.report.tables import Context
from dfsc.settings.grid import Grid
from support.command_line import dfsc
from support.figures import check_figure
from support.page_grid import make_benchmark
from support.small_sets import loco_category

METHOD, BASELINE, SEEDS = "dfsc-tiny-q0.9", "efficientad-tiny", [0, 1, 2]
GRID = Grid.from_config(
    {
        "benchmark": "changed",
        "dataset": {"source": "folder", "categories": ["bolts"]},
        "training": {"sizes": ["tiny"], "seeds": SEEDS},
        "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "ablations": []},
        "methods": {"theirs": {"label": "Theirs", "command": "run"}},
    }
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of one category."""
    root = tmp_path_factory.mktemp("changed")
    loco_category(root / "data/bolts", good=12, anomalous=15)
    make_benchmark(root / "data", root / "results", GRID)
    return root


def read(root: Path) -> tuple[pd.DataFrame, Context]:
    """Image scores and context of its tables."""
    return read_image_scores(root / "results/tables"), read_paper_tables(root / "results/tables")[2]


def seeds_that_find(scores: pd.DataFrame, method: str, path: str) -> int:
    """With how many seeds a method finds an image at 5 %, said once more."""
    found = 0
    for seed in SEEDS:
        of_run = scores[(scores["method"] == method) & (scores["seed"] == seed)].set_index("path")["image_score"]
        found += of_run[path] > threshold_of(of_run[of_run.index.str.startswith("validation/")], 0.05)
    return found


def test_the_rule_chooses_anomalies_judged_differently(root: Path) -> None:
    scores, context = read(root)
    changed = changed_images(scores, context, "bolts", METHOD)
    paths = {path for path in scores["path"] if path.startswith("test/") and "/good/" not in path}
    wanted = []
    for path in sorted(paths):
        counts = seeds_that_find(scores, METHOD, path), seeds_that_find(scores, BASELINE, path)
        wanted += [Changed(path, *counts, 3)] if counts[0] != counts[1] else []
    assert set(changed) == set(wanted) and len(wanted) > 3
    differences = [abs(one.method - one.baseline) for one in changed]
    assert differences == sorted(differences, reverse=True)
    for difference in set(differences):
        of_one = [one.path for one in changed if abs(one.method - one.baseline) == difference]
        assert of_one == sorted(of_one)


def test_without_thresholds_nothing_is_chosen(root: Path) -> None:
    scores, context = read(root)
    assert changed_images(scores, context, "bolts", "theirs") == [], "no scores of validation images"
    few = scores[~scores["path"].str.startswith("validation/") | scores["path"].str.endswith("/000.png")]
    assert changed_images(few, context, "bolts", METHOD) == [], "one validation image promises no 5 %"
    none = replace(context, grid=replace(GRID, seeds=[7]))
    assert changed_images(scores, none, "bolts", METHOD) == [], "no pair"


def drawn_map(archive: Path, folder: Path, path: str) -> np.ndarray:
    """A map over its image, from the median of the run's maps of good images, or its border, to 3 times above it."""
    found = read_maps(archive)
    good = np.concatenate([one.ravel() for name, one in found.maps.items() if "/good/" in name])
    low, nearly_all = max(np.quantile(good, 0.5), 0), np.quantile(good, 0.999)
    assert found.padding == "zero"
    with Image.open(folder / path) as image:
        full = resize_map(pad_map(found.maps[path], found.padding), image.height, image.width)
        return np.asarray(overlay(image, full - np.float32(low), 3 * float(nearly_all - low)))


def test_the_figure_shows_what_the_rule_chose(root: Path, tmp_path: Path) -> None:
    scores, context = read(root)
    maps = [root / f"results/bolts/{method}/seed0/maps.npz" for method in (BASELINE, METHOD)]
    figure = draw_what_changed(root / "data/bolts", maps, scores, context, METHOD, tmp_path / "one")
    check_figure(tmp_path / "one")
    changed = changed_images(scores, context, "bolts", METHOD)
    better, worse = ([one for one in changed if (one.method > one.baseline) == way] for way in (True, False))
    shown = [*better[:SHOWN], *worse[:SHOWN]]
    rows = np.array(figure.axes).reshape(len(shown), 4)
    for row, one in zip(rows, shown, strict=True):
        assert row[0].get_xlabel() == one.path.removeprefix("test/").replace("_anomalies", "")
        assert row[0].get_ylabel() == ("found" if one in better else "missed")
        for axis, count, label in (
            (row[2], one.baseline, "EfficientAD-tiny"),
            (row[3], one.method, "DFSC-tiny τ'=0.9"),
        ):
            said = {0: "missed", 3: "found"}.get(count, f"found, {count} of 3 seeds")
            assert axis.get_title() == f"{label}: {said}"
        for axis, archive in zip(row[2:], maps, strict=True):
            wanted = drawn_map(archive, root / "data/bolts", one.path)
            np.testing.assert_allclose(axis.get_images()[0].get_array(), wanted, atol=1)
        assert (drawn_map(maps[0], root / "data/bolts", one.path) != wanted).any()
    title = figure.get_suptitle()
    assert f"finds {len(better)} anomalies with more seeds than EfficientAD-tiny, and {len(worse)} with fewer" in title
    draw_what_changed(root / "data/bolts", maps, scores, context, "theirs", tmp_path / "none")
    check_figure(tmp_path / "none")


def test_the_command_draws_it_and_wants_two_archives(root: Path, tmp_path: Path) -> None:
    maps = [root / f"results/bolts/{method}/seed0/maps.npz" for method in (BASELINE, METHOD)]
    rest = ("--tables", root / "results/tables", "--dataset", root / "data", "--category", "bolts", "--method", METHOD)
    assert dfsc("what-changed", *maps, *rest, "--output", tmp_path / "drawn").code == 0
    check_figure(tmp_path / "drawn")
    outcome = dfsc("what-changed", maps[0], *rest, "--output", tmp_path / "drawn")
    assert outcome.code == 2 and "give two archives of maps" in outcome.errors
