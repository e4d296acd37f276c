"""`dfsc evaluate`: the official numbers, both routes to them, and one clear line for each kind of bad input."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from dfsc.data.images import decode_grey
from dfsc.errors import UserError
from dfsc.inference import evaluate as evaluate_module
from dfsc.inference.evaluate import evaluate_official_maps, evaluate_small_maps
from dfsc.inference.image_scores import write_scores
from dfsc.inference.maps import SmallMaps, read_maps, write_maps
from dfsc.metrics.spro import FPR_LIMITS
from dfsc.metrics.summary import Evaluation, flat_metrics
from dfsc.model.maps import PADDING_MODES, pad_map, resize_map
from dfsc.report.figures.curves import curves_as_csv, write_curves
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.figures import check_figure

GOLDEN = CHECKOUT / "tests/golden/spro"
BY_DEFINITION = {"logical_anomalies": 35 / 54, "structural_anomalies": 7 / 9, "mean": 77 / 108}


def evaluate_golden(name: str, workers: int = 2) -> Evaluation:
    return evaluate_official_maps(GOLDEN / name / "dataset", "pushpins", GOLDEN / name / "maps", workers=workers)


@pytest.mark.parametrize("name", ["smooth", "tied"])
def test_matches_the_official_evaluator(name: str) -> None:
    metrics = evaluate_golden(name).metrics
    for expected in json.loads((GOLDEN / name / "expected.json").read_text()).values():
        for anomaly_type, areas in expected["localization"]["auc_spro"].items():
            assert metrics["localization"]["auc_spro"][anomaly_type] == pytest.approx(areas, abs=1e-4)
        # On tied image scores the official evaluator errs; scikit-learn and we follow the definition.
        auc_roc = expected["classification"]["auc_roc"] if name == "smooth" else BY_DEFINITION
        assert metrics["classification"]["auc_roc"] == pytest.approx(auc_roc, abs=1e-9)


def test_reports_defects_curves_and_counts(tmp_path: Path) -> None:
    evaluation = evaluate_golden("smooth")
    metrics, counts = evaluation.metrics, evaluation.metrics["counts"]
    assert counts["images"] == {"good": 12, "logical_anomalies": 9, "structural_anomalies": 9}
    assert counts["regions"]["structural_anomalies"] == {"extra_part": 5, "scratch": 7}
    for anomaly_type, areas in metrics["localization"]["auc_spro_per_defect"].items():
        regions = counts["regions"][anomaly_type]
        for limit in map(str, FPR_LIMITS):
            mean = sum(areas[name][limit] * regions[name] for name in regions) / sum(regions.values())
            assert mean == pytest.approx(metrics["localization"]["auc_spro"][anomaly_type][limit], abs=1e-9)
        for name in ("", *areas):  # each curve is of its own regions
            area = np.trapezoid(*evaluation.spro_curves[f"{anomaly_type}/{name}".strip("/")][::-1])
            whole = areas[name] if name else metrics["localization"]["auc_spro"][anomaly_type]
            assert area == pytest.approx(whole["1.0"], abs=2e-3)
        assert len({round(found["1.0"], 2) for found in areas.values()}) > 1, "or one curve could be another's"
    write_curves(tmp_path / "curves", evaluation)
    check_figure(tmp_path / "curves")
    assert (tmp_path / "curves.csv").read_text() == curves_as_csv(evaluation)
    points = list(csv.DictReader(io.StringIO(curves_as_csv(evaluation))))
    logical = [point for point in points if (point["anomaly_type"], point["defect"]) == ("logical_anomalies", "")]
    roc = [(float(point["fpr"]), float(point["value"])) for point in logical if point["metric"] == "roc"]
    area = np.trapezoid([value for _, value in roc], [fpr for fpr, _ in roc])
    assert area == pytest.approx(metrics["classification"]["auc_roc"]["logical_anomalies"])
    assert {str(limit) for limit in FPR_LIMITS} <= {point["fpr"] for point in logical if point["metric"] == "spro"}


def test_operating_points_and_defects_by_hand(tmp_path: Path) -> None:
    """Scores that are given, and masks that are read once more: which image shows which defect."""
    dataset, maps = GOLDEN / "smooth" / "dataset", GOLDEN / "smooth" / "maps/pushpins"
    paths = sorted(path.relative_to(dataset / "pushpins") for path in (dataset / "pushpins/test").rglob("*.png"))
    small = SmallMaps({str(path): tifffile.imread((maps / path).with_suffix(".tiff")) for path in paths}, "none")
    scores = {path: number % 10 + 0.5 for number, path in enumerate(small.maps)}
    validation = [*np.linspace(0, 6.6, 18).tolist(), 8.0]
    evaluation = evaluate_small_maps(dataset, "pushpins", small, scores=scores, validation=validation)
    names = {
        entry["pixel_value"]: entry["defect_name"]
        for entry in json.loads((dataset / "pushpins/defects_config.json").read_text())
    }
    shown: dict[str, dict[str, list[float]]] = {}
    for path in paths:
        folder = dataset / "pushpins/ground_truth" / path.parent.name / path.stem
        for name in {names[int(decode_grey(mask).max())] for mask in folder.glob("*.png")}:
            shown.setdefault(path.parent.name, {}).setdefault(name, []).append(scores[str(path)])
    assert sorted(shown["structural_anomalies"]) == ["extra_part", "scratch"] and len(shown["logical_anomalies"]) > 1
    good = [score for path, score in scores.items() if "/good/" in path]
    counted, metrics = flat_metrics(evaluation.metrics), evaluation.metrics
    assert list(metrics["operating_points"]) == ["0.05", "0.1"], "19 images promise no 1 %"
    for rate, threshold in (("0.05", 8), ("0.1", 6.6)):
        assert metrics["operating_points"][rate]["threshold"] == pytest.approx(threshold, rel=1e-4)
        assert metrics["operating_points"][rate]["false_alarms"] == sum(score > threshold for score in good) > 0
        assert counted[f"false_alarms.{rate}"] == sum(score > threshold for score in good) / 12
        for kind in shown:
            missed = sum(score <= threshold for path, score in scores.items() if f"/{kind}/" in path)
            assert metrics["operating_points"][rate]["missed"][kind] == missed > 0
            assert counted[f"missed.{rate}.{kind}"] == missed / 9
    for kind, defects in shown.items():
        for name, values in defects.items():
            wins = np.mean([(one > other) + (one == other) / 2 for one in values for other in good])
            assert counted[f"image_auroc.{kind}.{name}"] == pytest.approx(wins)
            assert counted[f"found.0.05.{kind}.{name}"] == sum(score > 8 for score in values) / len(values)
            assert counted[f"images.{kind}.{name}"] == len(values)
    anomalous = [score for path, score in scores.items() if "/good/" not in path]
    pooled = np.mean([(one > other) + (one == other) / 2 for one in anomalous for other in good])
    assert metrics["classification"]["auc_roc_pooled"] == pytest.approx(pooled)
    without = evaluate_small_maps(dataset, "pushpins", small, scores=scores)
    assert without.metrics["operating_points"] == {}

    write_maps(tmp_path / "maps.npz", small)
    validated = {f"validation/good/{number:02}.png": score for number, score in enumerate(validation)}
    write_scores(tmp_path / "scores.csv", validated | scores)
    files = ("--maps", tmp_path / "maps.npz", "--scores", tmp_path / "scores.csv")
    place = ("--dataset", dataset, "--category", "pushpins", "--output", tmp_path / "metrics.json")
    assert dfsc("evaluate", *place, *files).code == 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics, "the command's are the same"


def test_threads_and_portions_change_nothing_and_progress_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evaluate_golden("tied", workers=1)
    monkeypatch.setattr(evaluate_module, "PORTION_PIXELS", 3 * 96 * 144)
    steps: list[tuple[int, int]] = []
    actual = evaluate_official_maps(
        GOLDEN / "tied" / "dataset", "pushpins", GOLDEN / "tied" / "maps", workers=3,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert actual.metrics == expected.metrics
    assert list(actual.image_scores.items()) == list(expected.image_scores.items())
    assert steps == [(step, 48) for step in range(1, 49)]  # 30 images, the 18 anomalous ones twice


class SmallCategory:
    """A category of a name of its own, its images of different sizes, with small maps and official maps of them."""

    name = "bottle caps"

    def __init__(self, folder: Path) -> None:
        self.dataset, self.maps, self.folder = folder / "data", folder / "maps", folder / "data" / self.name
        random = np.random.default_rng(3)
        self.small_maps: dict[str, NDArray[np.float32]] = {}
        for kind in ("good", "logical_anomalies", "structural_anomalies"):
            for index in range(3):
                height, width = 40 + 7 * index, 60 - 5 * index
                self.save(f"test/{kind}/{index:03d}.png", np.zeros((height, width, 3), np.uint8))
                self.small_maps[f"test/{kind}/{index:03d}.png"] = random.normal(size=(8, 8)).astype(np.float32)
                if kind != "good":
                    mask = np.zeros((height, width), np.uint8)
                    mask[10:20, 5 : 15 + index] = 255 - index % 2
                    self.save(f"ground_truth/{kind}/{index:03d}/000.png", mask)
        self.entries: list[dict[str, Any]] = [
            {"defect_name": "dent", "pixel_value": 255, "saturation_threshold": 0.001, "relative_saturation": True},
            {"defect_name": "swap", "pixel_value": 254, "saturation_threshold": 30, "relative_saturation": False},
        ]
        self.configure(self.entries)
        self.write_maps("zero")

    def save(self, path: str, pixels: NDArray[np.integer[Any]]) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(self.folder / path)

    def configure(self, entries: list[dict[str, Any]]) -> None:
        (self.folder / "defects_config.json").write_text(json.dumps(entries))

    def map_file(self, path: str) -> Path:
        return (self.maps / self.name / path).with_suffix(".tiff")

    def write_maps(self, padding: str) -> None:
        for path, small_map in self.small_maps.items():
            with Image.open(self.folder / path) as image:
                width, height = image.size
            self.map_file(path).parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(self.map_file(path), resize_map(pad_map(small_map, padding), height, width))

    def evaluate(self) -> Evaluation:
        return evaluate_official_maps(self.dataset, self.name, self.maps, workers=2)

    def evaluate_small(self, padding: str = "zero") -> Evaluation:
        return evaluate_small_maps(self.dataset, self.name, SmallMaps(self.small_maps, padding), workers=2)


@pytest.fixture
def category(tmp_path: Path) -> SmallCategory:
    return SmallCategory(tmp_path)


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_both_routes_agree_for_any_category_and_sizes(category: SmallCategory, padding: str) -> None:
    category.write_maps(padding)
    official, small = category.evaluate(), category.evaluate_small(padding)
    assert official.metrics == small.metrics
    assert official.image_scores == small.image_scores
    assert set(official.metrics["localization"]["auc_spro_per_defect"]["logical_anomalies"]) == {"dent", "swap"}


def test_maps_of_other_number_types_are_not_rounded(category: SmallCategory) -> None:
    expected = category.evaluate().metrics
    for path in category.small_maps:
        anomaly_map = tifffile.imread(category.map_file(path)).astype(np.float64)
        # Beyond float32's digits: rounding would tie all scores.
        tifffile.imwrite(category.map_file(path), 1 + anomaly_map * 1e-10)
    assert category.evaluate().metrics == expected


def test_all_scores_equal(category: SmallCategory) -> None:
    for path, small_map in category.small_maps.items():
        small_map[:] = 0
        tifffile.imwrite(category.map_file(path), tifffile.imread(category.map_file(path)) * 0)
    metrics = category.evaluate().metrics
    assert metrics == category.evaluate_small().metrics
    assert metrics["classification"]["auc_roc"]["mean"] == 0.5
    assert metrics["localization"]["auc_spro"]["mean"] == pytest.approx({str(x): x / 2 for x in FPR_LIMITS})


GOOD, LOGICAL = "test/good/001.png", "test/logical_anomalies/001.png"
MASK = "ground_truth/logical_anomalies/001/000.png"


def write_map(category: SmallCategory, path: str, anomaly_map: NDArray[Any]) -> None:
    tifffile.imwrite(category.map_file(path), anomaly_map)


def spoil(category: SmallCategory, path: str, value: float) -> None:
    anomaly_map = tifffile.imread(category.map_file(path))
    anomaly_map[3, 4] = value
    write_map(category, path, anomaly_map)


def two_grey_values(category: SmallCategory) -> None:
    mask = decode_grey(category.folder / MASK).copy()
    mask[0, 0] = 255
    category.save(MASK, mask)


def no_image_of_masks(category: SmallCategory) -> None:
    (category.folder / LOGICAL).unlink()
    category.map_file(LOGICAL).unlink()


BAD_INPUTS: dict[str, tuple[Callable[[SmallCategory], object], str]] = {
    "map missing": (lambda c: c.map_file(GOOD).unlink(), "001.tiff: the map of test/good/001.png is missing"),
    "map surplus": (lambda c: shutil.copy(c.map_file(GOOD), c.map_file("test/good/777.png")), "777.tiff: there is no"),
    "two maps of an image": (
        lambda c: shutil.copy(c.map_file(GOOD), c.map_file(GOOD).with_suffix(".TIF")), "is a second map beside 001.",
    ),
    "all maps missing": (lambda c: shutil.rmtree(c.maps / c.name), r"is missing \(9 of 9"),
    "map of another size": (lambda c: write_map(c, LOGICAL, np.zeros((9, 8), np.float32)), "001.png: is 8 x 9 pixels"),
    "NaN in a good map": (lambda c: spoil(c, GOOD, np.nan), "test/good/001.png: holds NaN or infinite"),
    "NaN in an anomalous map": (lambda c: spoil(c, LOGICAL, np.nan), "anomalies/001.png: holds NaN or infinite"),
    "infinite value": (lambda c: spoil(c, GOOD, -np.inf), "test/good/001.png: holds NaN or infinite"),
    "no TIFF": (lambda c: c.map_file(GOOD).write_text("hello"), "001.tiff: cannot be read as TIFF"),
    "empty file": (lambda c: c.map_file(GOOD).write_bytes(b""), "001.tiff: cannot be read as TIFF"),
    "truncated TIFF": (
        lambda c: c.map_file(GOOD).write_bytes(c.map_file(GOOD).read_bytes()[:4000]),
        "001.tiff: cannot be read as TIFF",
    ),
    "colour TIFF": (lambda c: write_map(c, GOOD, np.zeros((47, 55, 3), np.uint8)), "one real number per pixel"),
    "TIFF of complex numbers": (
        lambda c: write_map(c, GOOD, np.zeros((47, 55), np.complex64)), "holds complex64 .* one real number per pixel"
    ),
    "no good images": (lambda c: shutil.rmtree(c.folder / "test/good"), "test/good: holds no image"),
    "no such category": (lambda c: shutil.rmtree(c.folder), "test/good: holds no image"),
    "image no image": (lambda c: (c.folder / GOOD).write_text("hello"), "good/001.png: cannot be read as an image"),
    "mask with two grey values": (two_grey_values, "000.png: holds 2 grey values besides 0"),
    "mask without region": (
        lambda c: c.save(MASK, np.zeros((47, 55), np.uint8)),
        "000.png: marks nothing; the image test/logical_anomalies/001.png has no defect",
    ),
    "mask missing": (lambda c: (c.folder / MASK).unlink(), "test/logical_anomalies/001.png: has no mask"),
    "mask of another size": (lambda c: c.save(MASK, np.full((7, 6), 254, np.uint8)), "000.png: is 6 x 7 pixels"),
    "mask truncated": (
        lambda c: (c.folder / MASK).write_bytes((c.folder / MASK).read_bytes()[:60]),
        "000.png: cannot be read as an image",
    ),
    "image missing": (
        no_image_of_masks,
        "logical_anomalies/001: holds masks, but there is no image",
    ),
    "entry missing": (lambda c: c.configure(c.entries[:1]), "000.png: grey value 254 has no entry"),
    "entry incomplete": (lambda c: c.configure([{"pixel_value": 255}]), "entry 0: lacks defect_name"),
    "threshold no number": (
        lambda c: c.configure([entry | {"saturation_threshold": "much"} for entry in c.entries]),
        "entry 0: saturation_threshold: is \"much\"; it must be above 0 and at most 1",
    ),
    "no defects_config": (
        lambda c: (c.folder / "defects_config.json").unlink(),
        "defects_config.json: no such file; it should be a list of defect types",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", BAD_INPUTS)
def test_bad_input_is_refused_in_one_line(category: SmallCategory, damage: str) -> None:
    spoil_it, message = BAD_INPUTS[damage]
    spoil_it(category)
    with pytest.raises(UserError, match=message) as error:
        category.evaluate()
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps: maps.pop(GOOD), "test/good/001.png is missing"),
        (lambda maps: maps.update({"test/good/777.png": maps[GOOD]}), "777.png: there is no test image"),
        (lambda maps: maps[LOGICAL].fill(np.nan), "anomalies/001.png: a map has one finite number"),
        (lambda maps: maps.update({GOOD: maps[GOOD][None]}), "good/001.png: a map has one finite number"),
    ],
)
def test_bad_small_maps_are_refused(
    category: SmallCategory, change: Callable[[dict[str, NDArray[np.float32]]], object], message: str
) -> None:
    change(category.small_maps)
    with pytest.raises(UserError, match=message):
        category.evaluate_small()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scores: scores.pop(GOOD), "scores/test/good/001.png: the image score of test/good/001.png is missing"),
        (lambda scores: scores.update({"test/good/777.png": 1.0}), "777.png: there is no test image of that name"),
    ],
)
def test_scores_of_other_images_than_the_maps_are_refused(
    category: SmallCategory, change: Callable[[dict[str, float]], object], message: str
) -> None:
    scores = dict.fromkeys(category.small_maps, 0.5)
    change(scores)
    with pytest.raises(UserError, match=message):
        evaluate_small_maps(category.dataset, category.name, SmallMaps(category.small_maps, "zero"), scores=scores)


def test_unknown_padding_is_refused(category: SmallCategory) -> None:
    with pytest.raises(UserError, match="padding 'mirror' is none of zero, minimum, replicate"):
        category.evaluate_small("mirror")


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_maps_are_read_with_their_padding_as_they_were_written(
    category: SmallCategory, tmp_path: Path, padding: str
) -> None:
    write_maps(tmp_path / "maps.npz", SmallMaps(category.small_maps, padding))
    found = read_maps(tmp_path / "maps.npz")
    assert found.padding == padding and list(found.maps) == list(category.small_maps)
    assert all((found.maps[path] == small_map).all() for path, small_map in category.small_maps.items())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "padding"),  # as before the padding was kept
        ({"padding": np.array("mirror")}, "padding 'mirror' is none of zero, minimum, replicate"),
        ({"padding": np.array(0.0)}, "padding '0.0' is none of zero, minimum, replicate"),
    ],
)
def test_an_archive_without_a_known_padding_is_refused(
    category: SmallCategory, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    held: dict[str, Any] = {**category.small_maps, **arrays}
    np.savez(tmp_path / "maps.npz", **held)
    with pytest.raises(UserError, match=message) as error:
        read_maps(tmp_path / "maps.npz")
    assert "maps.npz" in str(error.value) and "\n" not in str(error.value)
