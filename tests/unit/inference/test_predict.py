"""From a model file and images to verdicts: every image once, whatever is wrong with some, killed or not."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dfsc.errors import UserError
from dfsc.inference import Detector
from dfsc.inference.overlay import overlay
from dfsc.inference.predict import heatmap_of, listed_images, run_prediction
from dfsc.inference.score import anomaly_maps
from dfsc.inference.threshold import threshold_of
from dfsc.model.maps import PADDING_MODES, pad_map, resize_map
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import load_model, save_model
from support.command_line import dfsc
from support.models import save_network

PREDICT = [sys.executable, "-c", "from dfsc.cli import main; main()", "predict"]
SIZES = [(40, 30), (30, 40), (33, 33), (64, 64)]  # width, height


def noise(number: int) -> Image.Image:
    """An image that a number tells."""
    width, height = SIZES[number % len(SIZES)]
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (height, width, 3)).astype(np.uint8))


def second_reading(model: Path, image: Image.Image) -> np.ndarray:
    """The map of an image at its size, as `dfsc score` makes it, zeros around."""
    pixels = np.array(image.resize((64, 64), Image.Resampling.BILINEAR))[None]
    small = anomaly_maps(load_model(model).network, pixels, torch.device("cpu"), "float32")[0]
    return resize_map(pad_map(small, "zero"), image.height, image.width)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that accepts about half of the noise."""
    torch.manual_seed(0)
    network = EfficientAD("tiny", 64).eval()
    pixels = np.stack([np.asarray(noise(n).resize((64, 64), Image.Resampling.BILINEAR)) for n in range(4)])
    with torch.no_grad():
        from dfsc.model.networks import normalise_images

        raw = network.raw_maps(normalise_images(torch.from_numpy(pixels)))
        for number in range(2):
            network.map_quantiles[number] = torch.quantile(raw[:, number], torch.tensor([0.9, 0.995]))
    path = tmp_path_factory.mktemp("model") / "model.pt"
    save_network(path, network)
    scores = [float(second_reading(path, noise(n)).max()) for n in range(100, 119)]
    save_network(path, network, scores)
    return path


def rows_of(output: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    with (output / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_row_says_what_the_detector_says(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in/deeper"
    folder.mkdir(parents=True)
    for number in range(20):
        noise(number).save(folder / f"part {number:02}, é.png")
    (folder / ".hidden").touch()
    noise(20).save(tmp_path / "alone.png")
    images = [tmp_path / "in", tmp_path / "alone.png", folder / "part 00, é.png"]
    outcome = dfsc("predict", model, *images, "--output", tmp_path / "out", "--device", "cpu", "--threads", 1)
    found = {Path(row["path"]).name: row for row in rows_of(tmp_path / "out")}
    assert len(found) == len(rows_of(tmp_path / "out")) == 21

    kept = load_model(model).validation_scores["zero"].double().numpy()
    detector = Detector.load(model, device="cpu")
    assert detector.threshold == pytest.approx(kept.max(), rel=2e-5) and detector.threshold > kept.max()
    for number in range(21):
        row = found[f"part {number:02}, é.png" if number < 20 else "alone.png"]
        full = second_reading(model, noise(number))
        assert float(row["image_score"]) == pytest.approx(float(full.max()), rel=1e-5)
        assert full[int(row["y"]), int(row["x"])] == pytest.approx(float(full.max()), rel=1e-5)
        lower = np.mean((kept < full.max()) + (kept == full.max()) / 2)
        assert float(row["percentile"]) == pytest.approx(100 * lower, abs=0.06)
        assert row["verdict"] == ("accepted" if full.max() <= detector.threshold else "rejected")
        verdict = detector(noise(number))
        assert verdict.score == pytest.approx(float(row["image_score"]), rel=1e-5)
        assert verdict.accepted == (row["verdict"] == "accepted")
        assert (verdict.x, verdict.y) == (int(row["x"]), int(row["y"]))
        np.testing.assert_allclose(verdict.anomaly_map, full, rtol=1e-4, atol=1e-6)
    heatmaps = {path.relative_to(tmp_path / "out/heatmaps") for path in (tmp_path / "out/heatmaps").rglob("*.jpg")}
    assert heatmaps == {Path(f"{row['path']}.jpg").relative_to("/") for row in found.values()}
    verdicts = {row["verdict"] for row in found.values()}
    assert outcome.code == (3 if "rejected" in verdicts else 0)


def test_an_image_is_judged_alike_as_file_as_array_and_as_picture(model: Path, tmp_path: Path) -> None:
    noise(3).save(tmp_path / "image.png")
    detector = Detector.load(model, device="cpu")
    pictures: list[Any] = [tmp_path / "image.png", str(tmp_path / "image.png"), noise(3), np.asarray(noise(3))]
    assert len({detector(picture)[:5] for picture in pictures}) == 1


def test_a_picture_of_another_mode_is_judged_as_its_file_is(model: Path, tmp_path: Path) -> None:
    detector = Detector.load(model, device="cpu")
    for mode in ("L", "P", "CMYK"):
        noise(3).convert(mode).save(file := tmp_path / f"{mode}.tif")
        with Image.open(file) as picture:
            assert detector(picture)[:5] == detector(file)[:5]


def test_a_picture_that_is_seen_otherwise_than_its_values_stand_is_refused(model: Path, tmp_path: Path) -> None:
    """Of its file, the same detector reads what is seen, or refuses it, too."""
    detector, turned = Detector.load(model, device="cpu"), Image.Exif()
    turned[0x0112] = 6
    noise(0).save(tmp_path / "turned.jpg", exif=turned, quality=95)
    Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 70).save(tmp_path / "wide.png")
    noise(0).convert("RGBA").save(tmp_path / "clear.png")
    noise(0).save(tmp_path / "many.gif", save_all=True, append_images=[noise(4)])
    reasons = {"turned.jpg": "EXIF orientation 6", "wide.png": "mode I;16", "clear.png": "transparent",
               "many.gif": "2 pages or frames"}  # fmt: skip
    for name, reason in reasons.items():
        with Image.open(tmp_path / name) as picture, pytest.raises(UserError, match=reason):
            detector(picture)
    assert detector(tmp_path / "turned.jpg").anomaly_map.shape == (40, 30)
    assert detector(tmp_path / "wide.png").anomaly_map.shape == (30, 30)


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_a_detector_is_loaded_as_it_is_told(model: Path, tmp_path: Path, padding: str) -> None:
    """Its scores are those of its padding, the threshold that of its rate."""
    known = load_model(model)
    others = {mode: (1 + place) * known.validation_scores[mode] for place, mode in enumerate(PADDING_MODES)}
    save_model(tmp_path / "model.pt", known._replace(validation_scores=others))
    detector = Detector.load(tmp_path / "model.pt", 0.2, padding, "cpu")
    scores = others[padding].double().numpy()
    assert detector.validation_scores.tolist() == scores.tolist()
    assert detector.threshold == threshold_of(scores, 0.2)
    pixels = np.array(noise(2).resize((64, 64), Image.Resampling.BILINEAR))[None]
    small = anomaly_maps(known.network, pixels, torch.device("cpu"), "float32")[0]
    wanted = resize_map(pad_map(small, padding), noise(2).height, noise(2).width)
    np.testing.assert_array_equal(detector(noise(2)).anomaly_map, wanted)


@pytest.mark.parametrize(
    ("score", "code", "said"), [(9e9, 0, "21 accepted, 0 rejected"), (-9e9, 3, "0 accepted, 21 rejected")]
)
def test_the_exit_code_says_whether_all_were_accepted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], score: float, code: int, said: str
) -> None:
    save_network(tmp_path / "model.pt", load_model(model).network, [score] * 19)
    images = []
    for number in range(21):
        images.append(tmp_path / f"{number}.png")
        noise(number).save(images[-1])
    outcome = dfsc("predict", tmp_path / "model.pt", *images, "--output", tmp_path / "out", "--no-heatmaps")
    assert (outcome.code, outcome.errors) == (code, "")
    printed = capsys.readouterr().out
    assert f"21 images: {said}, 0 unreadable" in printed and "at most 5 % of good images" in printed
    assert f"half of them score above {0 if code == 0 else 100} % of the validation images" in printed
    assert not (tmp_path / "out/heatmaps").exists()


def test_heatmaps_show_one_scale(model: Path, tmp_path: Path) -> None:
    """A colour means the same in every image; where nothing is anomalous, the image is seen, in grey."""
    shown = (3, 4, 11, 15)
    for number in shown:
        noise(number).save(tmp_path / f"{number}.png")
    dfsc("predict", model, *sorted(tmp_path.glob("*.png")), "--output", tmp_path / "out", "--device", "cpu")
    detector, highest = Detector.load(model, device="cpu"), []
    full_scale = 2 * max(0.1, detector.validation_scores.max())
    assert detector.full_scale == pytest.approx(full_scale)
    for number in shown:
        (path,) = (tmp_path / "out/heatmaps").rglob(f"{number}.png.jpg")
        drawn = np.asarray(Image.open(path), np.float32)
        full = second_reading(model, noise(number))
        kept = io.BytesIO()
        overlay(noise(number), full, full_scale).save(kept, "JPEG", quality=90)
        wanted = np.asarray(Image.open(kept), np.float32)
        assert np.abs(drawn - wanted).max() < 8 and drawn.shape == wanted.shape
        highest.append(float(full.max()))
    assert len({*highest}) == len(shown) and sum(value > 0 for value in highest) == 3

    grey = np.full((1, 4, 3), 90, np.uint8)
    level = np.array([[-1.0, 0.0, 5.0, 99.0]], np.float32)
    drawn = np.asarray(overlay(Image.fromarray(grey), level, 10.0))[0]
    assert drawn.tolist()[:2] == [[90, 90, 90]] * 2
    red, yellow = (0.25 * 90 + 0.75 * np.array(colour) for colour in ((188, 55, 84), (252, 255, 164)))
    np.testing.assert_allclose(drawn[2:], [red, yellow], atol=1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 images of which three cannot be read."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(8):
        noise(number).save(folder / f"{number:04}.png")
    for number in range(8, 2000):
        os.link(folder / f"{number % 8:04}.png", folder / f"{number:04}.png")
    whole = (folder / "0000.png").read_bytes()
    for number, content in ((17, b""), (905, b"no image"), (1999, whole[: len(whole) // 2])):
        (folder / f"{number:04}.png").unlink()
        (folder / f"{number:04}.png").write_bytes(content)
    return folder


def peak_memory(command: list[str], given: str = "") -> int:
    """Bytes that a command holds at most, which ends as one does that could not read some images."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(given.encode())
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 3
    return int(usage.ru_maxrss * 1024)


def test_a_killed_run_goes_on_and_judges_every_image_once(model: Path, many: Path, tmp_path: Path) -> None:
    """And its memory does not grow with their number."""
    output, endings = tmp_path / "out", []
    options = ["--no-heatmaps", "--device", "cpu", "--threads", "1"]
    command = [*PREDICT, str(model), str(many), "--output", str(output), *options]
    for ending, least in ((signal.SIGKILL, 200), (signal.SIGTERM, 500)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        file = output / "predictions.csv"
        while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") < least):
            time.sleep(0.01)
        process.send_signal(ending)
        process.communicate()
        endings.append(process.returncode)
    assert endings == [-signal.SIGKILL, 143], "it ended before it could be disturbed"
    before = rows_of(output)
    assert 500 <= len(before) < 1500
    with (output / "predictions.csv").open("a") as stream:
        stream.write("cut sho")  # as a kill in the middle of writing leaves it
    few = "\n".join(str(many / f"{number:04}.png") for number in range(100))
    less = peak_memory([*PREDICT, str(model), "-", "--output", str(tmp_path / "few"), *options], few)
    assert len(rows_of(tmp_path / "few")) == 100
    more = peak_memory(command)
    assert more - less < 32 * 2**20, f"{(more - less) / 2**20:.0f} MiB more"

    rows = rows_of(output)
    assert sorted(row["path"] for row in rows) == sorted(str(path) for path in many.iterdir())
    judged_before = [row for row in before if row["verdict"] != "unreadable"]
    assert [row for row in rows if row in judged_before] == judged_before
    bad = {Path(row["path"]).name: row["reason"] for row in rows if row["verdict"] == "unreadable"}
    assert bad.keys() == {"0017.png", "0905.png", "1999.png"} and all("cannot be read" in why for why in bad.values())
    assert all(row["image_score"] == "" for row in rows if row["verdict"] == "unreadable")


def test_an_image_that_could_not_be_read_is_tried_again(model: Path, tmp_path: Path) -> None:
    image, output = tmp_path / "late.png", tmp_path / "out"
    image.touch()
    for _ in range(2):
        assert dfsc("predict", model, image, "--output", output, "--device", "cpu").code == 3
        assert [row["verdict"] for row in rows_of(output)] == ["unreadable"]
    noise(1).save(image)
    dfsc("predict", model, image, "--output", output, "--device", "cpu")
    assert [row["verdict"] for row in rows_of(output)] in (["accepted"], ["rejected"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--false-alarm-rate", "0.2"], "false_alarm_rate is 0.05 there, and 0.2 now"),
        (["--padding", "minimum"], "padding is zero there, and minimum now"),
    ],
)
def test_what_was_made_otherwise_is_not_mixed(model: Path, tmp_path: Path, changes: list[str], named: str) -> None:
    noise(1).save(tmp_path / "image.png")
    command = ["predict", model, tmp_path / "image.png", "--output", tmp_path / "out", "--device", "cpu"]
    dfsc(*command)
    before = (tmp_path / "out/predictions.csv").read_bytes()
    outcome = dfsc(*command, *changes)
    assert outcome.code == 2 and named in outcome.errors and outcome.errors.count("\n") == 1
    assert (tmp_path / "out/predictions.csv").read_bytes() == before


def test_rows_of_which_nothing_says_what_made_them_are_left_alone(model: Path, tmp_path: Path) -> None:
    noise(1).save(tmp_path / "image.png")
    command = ["predict", model, tmp_path / "image.png", "--output", tmp_path / "out", "--device", "cpu"]
    dfsc(*command)
    (tmp_path / "out/predictions.json").unlink()
    before = (tmp_path / "out/predictions.csv").read_bytes()
    outcome = dfsc(*command, "--false-alarm-rate", "0.2")
    assert outcome.code == 2 and "predictions.json: no such file" in outcome.errors
    assert (tmp_path / "out/predictions.csv").read_bytes() == before and not (
        tmp_path / "out/predictions.json"
    ).exists()


def test_an_image_is_listed_once_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("one/same.png", "other/same.png"):
        Path(place).parent.mkdir()
        Path(place).touch()
    lines = b"./one/same.png\n\none//same.png\nother/same.png\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    listed = listed_images(["./one", "one/./same.png", "-", "other"])
    assert listed == ["one/same.png", "other/same.png"]
    assert [heatmap_of(Path("out"), path) for path in listed] == [
        *(Path("out/heatmaps/one/same.png.jpg"), Path("out/heatmaps/other/same.png.jpg"))
    ]


def test_verdicts_of_another_model_are_not_mixed(model: Path, tmp_path: Path) -> None:
    """Whose threshold is the same: its weights alone are others."""
    noise(1).save(tmp_path / "image.png")
    command = ("predict", tmp_path / "model.pt", tmp_path / "image.png", "--output", tmp_path / "out")
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_network(tmp_path / "model.pt", EfficientAD("tiny", 64), [0.5] * 19)
        outcome = dfsc(*command)
        assert (outcome.code == 2) == (seed == 1), outcome.errors
    assert "model is " in outcome.errors and outcome.errors.count("\n") == 1


def test_a_second_call_judges_and_counts_what_it_is_asked_about(model: Path, tmp_path: Path) -> None:
    images = [str(tmp_path / f"{number:02}.png") for number in range(20)]
    for number, path in enumerate(images):
        noise(number).save(path)
    detector, reports = Detector.load(model, device="cpu"), list[tuple[int, int]]()

    def counted(paths: list[str]) -> int:
        def progress(done: int, total: int) -> None:
            reports.append((done, total))

        summary = run_prediction(model, detector, paths, tmp_path / "out", False, 1, progress)
        percentiles = {row["path"]: float(row["percentile"]) for row in rows_of(tmp_path / "out")}
        assert summary.median_percentile == np.median([percentiles[path] for path in paths])
        return sum(summary.counts.values())

    assert [counted(images[:3]), counted(images), counted(images[5:6])] == [3, 20, 1]
    assert reports == [(3, 3), (19, 20), (20, 20)], "three were judged before"


def test_another_image_at_the_same_path_is_judged(model: Path, tmp_path: Path) -> None:
    """As of a camera that gives its images one name; and the first one, when it is there again, is known."""
    image, listed = tmp_path / "current.png", list[list[dict[str, str]]]()
    scores = {number: Detector.load(model, device="cpu")(noise(number)).score for number in (4, 11)}
    for number in (4, 11, 4):
        noise(number).save(image)
        outcome = dfsc("predict", model, image, "--output", tmp_path / "out", "--device", "cpu")
        assert outcome.code in (0, 3)
        assert (f"judged again, as another file lies there now: {image}\n" in outcome.errors) == (number == 11)
        listed.append(rows_of(tmp_path / "out"))
    first, second, third = listed
    assert second[:1] == first and len(second) == 2 and third == second
    assert [float(row["image_score"]) for row in second] == pytest.approx([scores[4], scores[11]], rel=1e-5)
    assert [row["path"] for row in second] == [str(image)] * 2 and len({row["sha256"] for row in second}) == 2


def test_the_summary_is_of_the_image_that_lies_there_now(model: Path, tmp_path: Path) -> None:
    image, detector = tmp_path / "current.png", Detector.load(model, 0.5, device="cpu")
    accepted = {number: detector(noise(number)).accepted for number in range(12)}
    good, bad = (next(number for number in accepted if accepted[number] == wanted) for wanted in (True, False))
    for number, code in ((good, 0), (bad, 3), (good, 0), (bad, 3)):
        noise(number).save(image)
        command = ["predict", model, image, "--output", tmp_path / "out", "--device", "cpu"]
        assert dfsc(*command, "--false-alarm-rate", 0.5).code == code


@pytest.mark.parametrize("separator", [";", "\t"])
def test_predictions_that_a_spreadsheet_has_written_anew_are_refused(
    model: Path, tmp_path: Path, separator: str
) -> None:
    noise(1).save(tmp_path / "image.png")
    command = ["predict", model, tmp_path / "image.png", "--output", tmp_path / "out", "--device", "cpu"]
    dfsc(*command)
    rows = tmp_path / "out/predictions.csv"
    rows.write_text(rows.read_text().replace(",", separator))
    outcome = dfsc(*command)
    assert outcome.code == 2 and outcome.errors.count("\n") == 1
    assert "predictions.csv: cannot be read as predictions (its first line is not path,verdict," in outcome.errors


@pytest.mark.parametrize("command", ["predict", "export"])
@pytest.mark.parametrize("name", ["photo.jpg", "model.onnx"])
def test_nobody_is_told_to_delete_what_is_no_model(tmp_path: Path, command: str, name: str) -> None:
    """As where the model was forgotten before the images."""
    (tmp_path / name).write_bytes(b"a photograph, or another program's model")
    images = [tmp_path / name] if command == "predict" else []
    outcome = dfsc(command, tmp_path / name, *images, "--output", tmp_path / "out")
    said = (
        f"dfsc: {tmp_path / name}: is no model; give the model.pt that `dfsc train` wrote first, and images after it\n"
    )
    assert (outcome.code, outcome.errors) == (2, said)


def test_a_row_that_is_not_whole_is_damage(model: Path, tmp_path: Path) -> None:
    noise(1).save(tmp_path / "image.png")
    command = ["predict", model, tmp_path / "image.png", "--output", tmp_path / "out", "--device", "cpu"]
    dfsc(*command)
    with (tmp_path / "out/predictions.csv").open("a") as stream:
        stream.write("another.png,accepted,0.1\n")
    before = (tmp_path / "out/predictions.csv").read_bytes()
    outcome = dfsc(*command)
    assert outcome.code == 2 and "predictions.csv: cannot be read as predictions (damaged)" in outcome.errors
    assert (tmp_path / "out/predictions.csv").read_bytes() == before


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_model_whose_validation_scores_are_no_numbers_is_refused(model: Path, tmp_path: Path, score: float) -> None:
    save_network(tmp_path / "model.pt", load_model(model).network, [0.1] * 18 + [score])
    with pytest.raises(UserError, match=r"model\.pt: is not a trained model"):
        Detector.load(tmp_path / "model.pt", device="cpu")


def test_an_image_whose_map_is_no_number_gets_no_verdict(model: Path, tmp_path: Path) -> None:
    network = load_model(model).network
    network.map_quantiles.fill_(0.5)
    save_network(tmp_path / "model.pt", network, [0.1] * 19)
    with pytest.raises(UserError, match="an anomaly map holds NaN or infinite values"):
        Detector.load(tmp_path / "model.pt", device="cpu")(noise(1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.png"], "'missing.png': there is no such file"),
        (["empty"], "empty: holds no image"),
        (["image.png", "--false-alarm-rate", "0.01"], "cannot be promised with 19 validation images"),
        (["image.png", "--false-alarm-rate", "5"], "between 0 and 1"),
    ],
)
def test_a_mistake_is_never_taken_for_a_verdict(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    noise(1).save("image.png")
    outcome = dfsc("predict", model, *arguments, "--output", "out", "--device", "cpu")
    assert outcome.code == 2 and said in outcome.errors and outcome.errors.count("\n") == 1
    assert not Path("out").exists()


def test_two_processes_do_not_write_one_folder(model: Path, tmp_path: Path) -> None:
    import fcntl

    noise(1).save(tmp_path / "image.png")
    (tmp_path / "out").mkdir()
    held = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        outcome = dfsc("predict", model, tmp_path / "image.png", "--output", tmp_path / "out", "--device", "cpu")
    finally:
        os.close(held)
    assert outcome.code == 2 and "another process writes predictions there" in outcome.errors
