"""A method's run, a folder of maps and the controls become the files of a cell, judged as ours are."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfsc.data.layout import ANOMALY_TYPES, read_manifest
from dfsc.data.manifest import scan_category
from dfsc.files import digest_of
from dfsc.inference.image_scores import read_scores
from dfsc.inference.maps import read_maps
from dfsc.metrics.auroc import auroc
from dfsc.model.maps import resize_map
from dfsc.outside.blinding import neutral_names, write_blinded
from dfsc.outside.command import folder_digest
from dfsc.outside.method import output_of
from dfsc.provenance import code_digest
from dfsc.report.compare import split_scores
from dfsc.settings.grid import CELL_FILES
from support.checkout import CHECKOUT
from support.command_line import Outcome, dfsc
from support.outside_methods import IN_AWK, in_python, write_method
from support.prepared import Prepared
from support.small_sets import loco_category, picture

MEAN = """
for image in images:
    pixels = np.asarray(__import__("PIL.Image").Image.open(image), float)
    save(image, pixels.mean(axis=2)[::8, ::8] / 255 + 100 * int(given["--seed"]))
"""


def cell_files(folder: Path) -> list[object]:
    """The options that say where to write."""
    return ["--scores", folder / "scores.csv", "--maps", folder / "maps.npz", "--record", folder / "method.json"]


def run(command: Path, prepared: Prepared, output: Path, *more: object, seed: object = 3) -> Outcome:
    """Run a method for a cell."""
    images = ("--dataset", prepared.dataset, "--category", prepared.category, "--manifest", prepared.manifest())
    return dfsc(*("method", "run", "--command", command, *images, "--seed", seed), *cell_files(output), *more)


def judged(prepared: Prepared, cell: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The metrics of a cell."""
    outcome = dfsc(
        *("evaluate", "--dataset", prepared.dataset, "--category", prepared.category, "--maps", cell / "maps.npz"),
        *("--scores", cell / "scores.csv", "--output", cell / "metrics.json", "--curves", cell / "curves"),
    )
    assert outcome.code == 0, outcome.errors
    found: dict[str, dict[str, dict[str, float]]] = json.loads((cell / "metrics.json").read_text())
    return found


def test_maps_come_back_under_their_own_names(prepared: Prepared, tmp_path: Path) -> None:
    outcome = run(in_python(tmp_path / "mean", MEAN), prepared, tmp_path)
    assert outcome.code == 0, outcome.errors
    small, scores = read_maps(tmp_path / "maps.npz"), read_scores(tmp_path / "scores.csv")
    assert small.padding == "none" and len(small.maps) == len(scores) == 9
    for path, found in small.maps.items():
        with Image.open(prepared.dataset / prepared.category / path) as image:
            pixels = np.asarray(image, float).mean(axis=2)[::8, ::8] / 255 + 300
            assert found == pytest.approx(pixels.astype(np.float32))
            full = resize_map(found, image.height, image.width)
        assert scores[path] == full.max()
    made = json.loads((tmp_path / "method.json").read_text())
    assert made["settings"] == {"origin": "command", "command": str(tmp_path / "mean/run"), "seed": "3"}
    assert made["seconds"] > 0 and made["gpu_seconds"] == 0 and made["hardware"].startswith("CPU (")
    assert not (tmp_path / ".run_method").exists()
    judged(prepared, tmp_path)


def test_a_run_is_of_the_methods_code_and_of_ours(prepared: Prepared, tmp_path: Path) -> None:
    command, records = in_python(tmp_path / "mean", MEAN), []
    for number in range(3):
        if number == 2:
            (tmp_path / "mean/more.py").write_text("# another line")
        assert run(command, prepared, tmp_path / str(number)).code == 0
        made = json.loads((tmp_path / f"{number}/method.json").read_text())
        assert made["code"] == digest_of([folder_digest(command), code_digest("method run")])
        records.append((made["code"], made["fingerprint"]))
    assert records[0] == records[1] and not set(records[0]) & set(records[2])


def test_code_that_changes_while_it_runs_leaves_nothing(prepared: Prepared, tmp_path: Path) -> None:
    """Or the maps of the old code would pass for those of the new."""
    edit = "pathlib.Path(__file__).with_name('network.py').write_text('layers = 4')"
    command, output = in_python(tmp_path / "edited", f"{edit}\n{MEAN}"), tmp_path / "cell"
    outcome = run(command, prepared, output)
    assert outcome.code == 1 and outcome.errors.count("\n") == 1
    assert f"{command.parent}: the method's code changed while it ran; run it again" in outcome.errors
    assert not list(output.rglob("*"))
    assert run(command, prepared, output).code == 0, "it is the same before and after"


def test_a_method_that_outlives_a_kill_is_not_run_beside_itself(prepared: Prepared, tmp_path: Path) -> None:
    """Of Snakemake, then of our command: the method goes on, and would lose its images to a second run."""
    told, cell = tmp_path / "told", tmp_path / "cell"
    waiting = f"""
import os
if not (told := pathlib.Path({str(told)!r})).exists():
    told.with_suffix(".new").write_text(f"{{os.getpid()}} {{os.getppid()}}")
    told.with_suffix(".new").rename(told)
    time.sleep(60)
"""
    command = in_python(tmp_path / "waiting", f"{waiting}\n{MEAN}")
    images = ("--dataset", prepared.dataset, "--category", prepared.category, "--manifest", prepared.manifest())
    arguments = ("method", "run", "--command", command, *images, "--seed", 3, *cell_files(cell))
    ours = shlex.join([sys.executable, "-m", "dfsc.cli", *map(str, arguments)])
    snakemake = subprocess.Popen(["sh", "-c", f"{ours}; true"], cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not told.exists():
        assert time.monotonic() < end and snakemake.poll() is None
        time.sleep(0.05)
    method, above = map(int, told.read_text().split())
    for process in (snakemake.pid, above):
        os.kill(process, signal.SIGKILL)
        snakemake.wait()
        time.sleep(0.5)
        outcome = run(command, prepared, cell)
        assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
        assert f"dfsc: {cell}: another process still runs a method in this folder; wait for its end" in outcome.errors
        shown = subprocess.run(["pgrep", "-f", f"{cell}/"], capture_output=True, text=True, check=True).stdout.split()
        assert str(method) in shown
        assert (cell / ".run_method/images/test").is_dir(), "its images are still there"
    os.kill(method, signal.SIGKILL)
    time.sleep(0.5)
    assert run(command, prepared, cell).code == 0
    assert sorted(file.name for file in cell.iterdir()) == ["maps.npz", "method.json", "scores.csv"]


def test_a_process_that_a_method_leaves_behind_keeps_no_lock(prepared: Prepared, tmp_path: Path) -> None:
    child = "['sleep', '20'], start_new_session=True, close_fds=False, stdout=-3, stderr=-3"
    left = f"import subprocess\nsubprocess.Popen({child})"
    command = in_python(tmp_path / "leaving", f"{left}\n{MEAN}")
    for _ in range(2):
        assert run(command, prepared, tmp_path / "cell").code == 0


def test_a_runs_memory_is_that_of_the_command(prepared: Prepared, tmp_path: Path) -> None:
    command = in_python(tmp_path / "large", f"held = np.ones(400 * 2**17)\n{MEAN}")
    images = ("--dataset", prepared.dataset, "--category", prepared.category, "--manifest", prepared.manifest())
    arguments = ("method", "run", "--command", command, *images, "--seed", 3, *cell_files(tmp_path))
    ours = [sys.executable, "-c", "from dfsc.cli import main; main()", *map(str, arguments)]
    assert subprocess.run(ours, capture_output=True, check=False).returncode == 0
    held = json.loads((tmp_path / "method.json").read_text())["peak_memory_bytes"]
    assert 400 * 2**20 < held < 800 * 2**20, "of this process it would be far less"


def test_maps_of_validation_images_give_scores_and_are_not_kept(prepared: Prepared, tmp_path: Path) -> None:
    lines = MEAN.replace("in images", "in [*sorted(pathlib.Path(given['--validation']).iterdir()), *images]")
    assert run(in_python(tmp_path / "mean", lines), prepared, tmp_path / "all").code == 0
    assert run(in_python(tmp_path / "mean", MEAN), prepared, tmp_path / "test").code == 0
    maps, alone = (read_maps(tmp_path / name / "maps.npz").maps for name in ("all", "test"))
    assert maps.keys() == alone.keys() and all((maps[path] == alone[path]).all() for path in maps)
    assert read_scores(tmp_path / "all/scores.csv") == read_scores(tmp_path / "test/scores.csv")
    assert read_scores(tmp_path / "test/scores.csv", "validation") == {}
    validation = read_scores(tmp_path / "all/scores.csv", "validation")
    assert list(validation) == [f"validation/good/{number:03}.png" for number in range(3)]
    for path, score in validation.items():
        with Image.open(prepared.dataset / prepared.category / path) as image:
            pixels = np.asarray(image, float).mean(axis=2)[::8, ::8] / 255 + 300
            assert score == resize_map(pixels.astype(np.float32), image.height, image.width).max()
    judged(prepared, tmp_path / "all")


# What a cheat may look at: of each image in a folder, or of all in the order in which the folder lists them.
CHEATS = {
    "name": "sorted(files, key=lambda file: file.name)",
    "order": "files",
    "time": "sorted(files, key=lambda file: file.stat().st_mtime_ns)",
    "change": "sorted(files, key=lambda file: file.stat().st_ctime_ns)",
    "inode": "sorted(files, key=lambda file: file.stat().st_ino)",
    "size": "sorted(files, key=lambda file: file.stat().st_size)",
}


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category whose test images are all drawn alike; anomalous ones are later, larger, and named after good ones."""
    category = loco_category(tmp_path_factory.mktemp("telling") / "category", good=20, anomalous=10)
    random = np.random.default_rng(1)
    for number, file in enumerate(sorted((category / "test").rglob("*.png"))):
        text = PngInfo()
        text.add_text("label", "anomalous" * (0 if file.parent.name == "good" else 999))
        file.unlink()
        Image.fromarray(picture(random)[0]).save(file, pnginfo=text)
        os.utime(file, (10**9 + number, 10**9 + number))
    return category


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_gains_nothing(telling: Path, tmp_path: Path, cheat: str) -> None:
    """The AUROC of its ranks is that of chance."""
    records = scan_category(telling)
    method = f"""
files = list(test.iterdir())
ranked = {CHEATS[cheat]}
for image in images:
    save(image, random.random((2, 2)))
rows = [f"{{file.name}},{{rank}}" for rank, file in enumerate(ranked)]
(output / "scores.csv").write_text("\\n".join(["name,image_score", *rows, ""]))
"""
    found = output_of(in_python(tmp_path / "cheat", method), telling, records, "0", "cpu", 60, tmp_path / "work")
    assert found.scores is not None
    ranks = {kind: [one for path, one in found.scores.items() if (kind in path)] for kind in ("good", "anomalies")}
    assert len(ranks["good"]) == len(ranks["anomalies"]) == 20
    assert 0.22 < auroc(ranks["good"], ranks["anomalies"]) < 0.78  # three standard deviations of chance: 0.28


@pytest.mark.parametrize("told_by", [str, lambda file: file.stat().st_mtime_ns, lambda file: file.stat().st_size])
def test_what_would_tell_is_there(telling: Path, told_by: Callable[[Path], Any]) -> None:
    """By name, time or size, the images as they lie are told apart without a look at one."""
    ranked = sorted((telling / "test").rglob("*.png"), key=told_by)
    assert ["anomalies" in str(file) for file in ranked] == [False] * 20 + [True] * 20


def test_its_own_scores_are_those_that_count(prepared: Prepared, tmp_path: Path) -> None:
    names = neutral_names(read_manifest(prepared.manifest()), "test")
    wanted = {path: number - 4.5 for number, path in enumerate(sorted(names))}  # good ones first: all are told apart
    lines = [f"{names[path]},{score}" for path, score in wanted.items()]
    text = "\n".join(["name,image_score", *lines, ""])
    method = f"""
for image in images:
    save(image, random.random((2, 2)))
(output / "scores.csv").write_text({text!r})
"""
    assert run(in_python(tmp_path / "scored", method), prepared, tmp_path).code == 0
    assert read_scores(tmp_path / "scores.csv") == wanted
    auroc = judged(prepared, tmp_path)["classification"]["auc_roc"]
    assert auroc == {"logical_anomalies": 1.0, "structural_anomalies": 1.0, "mean": 1.0}


def test_a_method_in_shell_and_awk(prepared: Prepared, tmp_path: Path) -> None:
    assert len(IN_AWK.splitlines()) <= 20
    outcome = run(write_method(tmp_path / "awk", IN_AWK), prepared, tmp_path, seed="none")
    assert outcome.code == 0, outcome.errors
    records, blinded = read_manifest(prepared.manifest()), tmp_path / "blinded"
    write_blinded(prepared.dataset / prepared.category, records, blinded)
    sizes = {path.name: path.stat().st_size for path in (blinded / "train").iterdir()}
    mean = sum(sizes.values()) / len(sizes)
    names = neutral_names(records, "test")
    for path, score in read_scores(tmp_path / "scores.csv").items():
        bytes_of = (blinded / "test" / names[path]).stat().st_size
        assert score == pytest.approx(abs(bytes_of - mean), abs=0.01)
    assert {one.tolist()[0][0] for one in read_maps(tmp_path / "maps.npz").maps.values()} == {1.0}
    judged(prepared, tmp_path)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("print('epoch 1', flush=True); raise SystemExit('no weights')", "exit code 1; its last lines: epoch 1 | no w"),
        ("[save(image, random.random((3, 3))) for image in images[:4]]", "is missing; 5 of 9 test images have no map"),
        ("[save(image, [[0.5]]) for image in images]", "every map holds 0.5 everywhere"),
        (
            "print('epoch 1', flush=True); time.sleep(99)",
            "was stopped after 0.0095 minutes, 95 % of its `runtime`, so that Slurm does not end the whole job; it "
            "needs a longer `runtime`; its last lines: epoch 1",
        ),
    ],
)
def test_what_goes_wrong_leaves_nothing(prepared: Prepared, tmp_path: Path, lines: str, told: str) -> None:
    command, output = in_python(tmp_path / "wrong", lines), tmp_path / "cell"
    outcome = run(command, prepared, output, "--minutes", 0.01 if "sleep" in lines else 5)
    assert outcome.code == 1 and outcome.errors.startswith(f"dfsc: {command}: ")
    assert told in outcome.errors and outcome.errors.count("\n") == 1
    assert not list(output.rglob("*"))


def test_one_that_fills_the_disk_is_stopped_by_name(prepared: Prepared, tmp_path: Path) -> None:
    """On a small file system of its own, in a process of its own that alone sees it."""
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        [*mount, f"mount -t tmpfs -o size=300M tmpfs {disk}"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this system lets no user mount a file system")
    command = in_python(
        tmp_path / "greedy", "(output / 'test_0000.npy').write_bytes(bytes(100 * 2**20)); time.sleep(600)"
    )
    given = ["method", "run", "--command", command, "--dataset", prepared.dataset, "--category", prepared.category]
    given += ["--manifest", prepared.manifest(), "--seed", 3, *cell_files(disk / "cell")]
    line = shlex.join([sys.executable, "-m", "dfsc.cli", *map(str, given)])
    script = f"mount -t tmpfs -o size=300M tmpfs {disk} && {line}; code=$?; ls -A {disk}/cell; exit $code"
    outcome = subprocess.run([*mount, script], capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=300)
    assert outcome.returncode == 1, outcome.stderr
    assert f"dfsc: {command}: was stopped, as it left less than 256 MiB free on the disk" in outcome.stderr
    assert outcome.stdout.split() == [], "what it wrote is gone"


def test_it_finds_nothing_but_images_where_it_looks(prepared: Prepared, tmp_path: Path) -> None:
    method = """
import os
above = {str(path.relative_to(test.parent)) for path in test.parent.rglob("*") if path.is_file()}
print(sorted(above), os.listdir(), os.environ["CUDA_VISIBLE_DEVICES"] == "", given["--device"])
raise SystemExit(4)
"""
    outcome = run(in_python(tmp_path / "curious", method), prepared, tmp_path)
    for word in ("good", "anomal", "000.png'", "mask", "csv"):
        assert word not in outcome.errors.partition("last lines")[2].replace("_0000.png'", "")
    assert "[] True cpu" in outcome.errors


def test_maps_made_elsewhere(prepared: Prepared, tmp_path: Path) -> None:
    records = [record for record in read_manifest(prepared.manifest()) if record.path.startswith("test/")]
    random = np.random.default_rng(0)
    folder = tmp_path / "theirs"
    for record in records:
        file = (folder / record.path).with_suffix(".tiff")
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, random.random((record.height, record.width)).astype(np.float32))
    take = ("method", "import", "--folder", folder, "--manifest", prepared.manifest(), "--seed", "none")
    assert dfsc(*take, *cell_files(tmp_path)).code == 0
    direct = tmp_path / "direct.json"
    shutil.copytree(folder, tmp_path / "official" / prepared.category)
    official = ("--dataset", prepared.dataset, "--category", prepared.category, "--maps", tmp_path / "official")
    assert dfsc("evaluate", *official, "--output", direct).code == 0
    assert judged(prepared, tmp_path) == json.loads(direct.read_text())

    def fingerprint() -> str:
        assert dfsc(*take, *cell_files(tmp_path / "again")).code == 0
        return str(json.loads((tmp_path / "again/method.json").read_text())["fingerprint"])

    before = fingerprint()
    assert json.loads((tmp_path / "again/method.json").read_text())["code"] == code_digest("method import")
    os.utime(folder / "test/good/000.tiff")
    assert fingerprint() == before
    anomaly_map = tifffile.imread(folder / "test/good/000.tiff")
    tifffile.imwrite(folder / "test/good/000.tiff", anomaly_map + np.float32(1e-3))
    assert fingerprint() != before, "of other maps"
    shutil.rmtree(tmp_path / "again")

    (folder / "test/good/000.tiff").rename(folder / "test/good/900.tiff")
    outcome = dfsc(*take, *cell_files(tmp_path / "again"))
    assert outcome.code == 2 and "test/good/000.tiff: is missing; 1 of 9" in outcome.errors
    shutil.copy(folder / "test/good/900.tiff", folder / "test/good/000.tiff")
    outcome = dfsc(*take, *cell_files(tmp_path / "again"))
    assert outcome.code == 2 and "900.tiff: there is no test image of that name" in outcome.errors


def test_help_says_which_folder_holds_official_maps(capsys: pytest.CaptureFixture[str]) -> None:
    assert dfsc("evaluate", "--help").code == 0
    assert "--maps <path> Holds <category>/test/<type>/<id>.tiff;" in " ".join(capsys.readouterr().out.split())


def control(name: str, seed: object, prepared: Prepared, output: Path) -> Path:
    """The cell of a control, not judged yet."""
    place = ("--dataset", prepared.dataset, "--category", prepared.category, "--manifest", prepared.manifest())
    outcome = dfsc("method", "control", name, *place, "--seed", seed, *cell_files(output))
    assert outcome.code == 0, outcome.errors
    assert json.loads((output / "method.json").read_text())["code"] == code_digest("method control")
    return output


def test_the_oracle_is_perfect(prepared: Prepared, tmp_path: Path) -> None:
    metrics: Any = judged(prepared, control("oracle", "none", prepared, tmp_path))
    assert set(metrics["classification"]["auc_roc"].values()) == {1.0}
    areas = [area for of_type in metrics["localization"]["auc_spro"].values() for area in of_type.values()]
    assert len(areas) == 15 and areas == pytest.approx([1.0] * 15, abs=1e-12)


def test_random_is_noise_of_its_seed(prepared: Prepared, tmp_path: Path) -> None:
    cells = [control("random", seed, prepared, tmp_path / str(seed)) for seed in range(12)]
    scores = [split_scores(read_scores(cell / "scores.csv")) for cell in cells]
    values = [np.mean([auroc(one["good"], one[kind]) for kind in ANOMALY_TYPES if len(one[kind])]) for one in scores]
    assert len(set(values)) > 3 and np.mean(values) == pytest.approx(0.5, abs=0.15)
    before = (tmp_path / "3/scores.csv").read_bytes()
    control("random", 3, prepared, tmp_path / "again")
    assert (tmp_path / "again/scores.csv").read_bytes() == before != (tmp_path / "4/scores.csv").read_bytes()


def test_images_of_one_name_have_other_noise_in_another_category(
    prepared: Prepared, category_copy: Callable[[], Path], tmp_path: Path
) -> None:
    folder = category_copy()
    other = folder.rename(folder.with_name("another"))
    control("random", 0, prepared, tmp_path / "first")
    place = ("--dataset", other.parent, "--category", other.name, "--manifest", prepared.manifest())
    outcome = dfsc("method", "control", "random", *place, "--seed", 0, *cell_files(tmp_path / "second"))
    assert outcome.code == 0, outcome.errors
    assert (tmp_path / "first/scores.csv").read_bytes() != (tmp_path / "second/scores.csv").read_bytes()


def test_a_cells_files_have_the_names_that_the_grid_gives(prepared: Prepared, tmp_path: Path) -> None:
    judged(prepared, control("random", 0, prepared, tmp_path))
    for rule in ("run_method", "score", "evaluate"):
        assert all((tmp_path / file).exists() for file in CELL_FILES[rule].values())
