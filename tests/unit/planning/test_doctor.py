"""The doctor: each thing that is missing is named in a line of its own, beside what is there."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dfsc.data.arranging import split_of
from dfsc.errors import UserError
from dfsc.files import sha256_of
from dfsc.model.networks import SIZES, pdn
from dfsc.planning.doctor import diagnosed
from dfsc.planning.findings import Finding
from dfsc.planning.machine import read_profile, sbatch_options
from dfsc.report.store import LATER, tracking_client
from dfsc.settings.leaves import DeviceName
from dfsc.settings.reading import read_configuration
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.http_server import CONTENT, Server, running_server
from support.local_server import free_port
from support.prepared import GENERATED, Prepared

COUNTS = ("train", "validation", "test_good", "logical", "structural")
STORE = "sqlite:///mlflow.db"


class Project:
    """A project in which all is there that its configuration needs, until a test takes something away."""

    def __init__(self, prepared: Prepared) -> None:
        shutil.copytree(CHECKOUT / "config", "config")
        self.config: dict[str, Any] = {
            "benchmark": "own",
            "dataset": {"source": "folder", "folder": str(prepared.dataset), "categories": [prepared.category]},
            "pretraining": {"images": "other", "folder": str(prepared.dataset / "pretraining")},
            "teacher": {"backbone": "resnet18", "backbone_weights": "random"},
            "training": {"sizes": ["tiny"], "image_size": 64},
            "tracking": {"uri": STORE},
        }

    def write(self) -> Path:
        """Write the configuration; returns its file."""
        Path("own.yaml").write_text(yaml.safe_dump(self.config))
        return Path("own.yaml")

    def findings(self, profile: Path | None = None, device: DeviceName = "cpu") -> list[Finding]:
        """All findings, a line each."""
        findings = diagnosed(read_configuration([self.write()]), profile, device)
        assert all("\n" not in finding.words for finding in findings)
        return findings

    def found(self, profile: Path | None = None, device: DeviceName = "cpu") -> dict[str, Finding]:
        """The findings, by what they are of."""
        return {finding.what: finding for finding in self.findings(profile, device)}

    def only_missing(self, what: str, device: DeviceName = "cpu") -> str:
        """The words of the one thing that is missing."""
        missing = [finding for finding in self.findings(device=device) if finding.state == "missing"]
        assert [finding.what for finding in missing] == [what], missing
        return missing[0].words

    def list_source(self, name: str, **changes: object) -> None:
        """Let config/sources.yaml list a source otherwise."""
        path = Path("config/sources.yaml")
        listed = yaml.safe_load(path.read_text())
        listed["sources"].setdefault(name, {"unpack": False, "licence": "none"}).update(changes)
        path.write_text(yaml.safe_dump(listed))


@pytest.fixture
def project(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Project(prepared)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a file of a million bytes."""
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking store, to be copied."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with tracking_client(f"sqlite:///{path}"):
        return path


def test_all_is_there(project: Project, store: Path, prepared: Prepared) -> None:
    shutil.copy(store, "mlflow.db")
    found = project.found()
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found.keys() == {"disk", "tracking", "images", "penalty images", "backbone"}
    count = sum(GENERATED[name] for name in COUNTS)
    assert found["images"].words == f"{prepared.dataset}: {count} images in 1 categories"
    assert found["tracking"].words == f"{STORE}: answers"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named_unless_none_is_asked_for(project: Project) -> None:
    words = project.only_missing("GPU", device="auto")
    assert "torch sees no GPU here" in words and "nvidia-smi" in words and "--device cpu" in words
    assert "GPU" not in project.found(device="cpu")


def test_what_is_missing_is_printed_and_the_exit_code_tells(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dfsc("doctor", "--configfile", project.write(), "--device", "cpu").code == 0
    assert capsys.readouterr().out.endswith("\nnothing is missing\n")
    project.config["dataset"]["categories"] = ["absent"]
    outcome = dfsc("doctor", "--configfile", project.write(), "--device", "cpu")
    lines = capsys.readouterr().out.splitlines()
    assert outcome.code == 1 and not outcome.errors and lines[-1] == "1 missing"
    (line,) = (line for line in lines if line.startswith("missing  images "))
    assert "absent/train/good: holds no image, or is not there" in line
    assert [line.split()[0] for line in lines[:-1]] == ["ok", "later", "missing", "ok", "ok"]


def test_absent_penalty_images_are_named(project: Project) -> None:
    project.config["pretraining"]["folder"] = "data/imagenet"
    assert project.only_missing("penalty images").startswith("data/imagenet: no such folder")
    Path("data/imagenet").mkdir(parents=True)
    assert "holds no image" in project.only_missing("penalty images")


def test_other_penalty_images_are_looked_at_too(project: Project) -> None:
    project.config["protocols"] = {"other_penalty": {"images": "imagenet", "folder": "data/none"}}
    assert "data/none" in project.only_missing("penalty images of protocols.other_penalty")


@pytest.mark.parametrize("key", ["pretraining", "protocols.other_penalty"])
def test_penalty_images_are_fetched_where_their_own_section_asks_for_it(
    project: Project, server: Server, prepared: Prepared, key: str
) -> None:
    project.list_source("imagenette", address=server.address("good/data.bin"))
    listed = {"images": "imagenette", "folder": "data/imagenette"}
    own = {"images": "other", "folder": str(prepared.dataset / "pretraining")}
    project.config["pretraining"], other = (listed, own) if key == "pretraining" else (own, listed)
    project.config["protocols"] = {"other_penalty": other}
    found = project.found()
    names = {"pretraining": "penalty images", "protocols.other_penalty": "penalty images of protocols.other_penalty"}
    assert {found[name].state for place, name in names.items() if place != key} == {"ok"}
    assert found[names[key]].state == "later" and server.address("good/data.bin") in found[names[key]].words


def test_images_of_ones_own_are_looked_at_where_they_are(project: Project, prepared: Prepared) -> None:
    good = prepared.dataset / prepared.category / "train/good"
    project.config["dataset"] = {"source": "images", "folder": "data/own", "categories": ["coins"]}
    project.config["dataset"]["images"] = {"coins": {"good": [str(good)]}}
    shares, seen = {"validation/good": 0.4, "test/good": 0.3}, set[str]()
    for seed in range(8):
        placed = [split_of(sha256_of(image), shares, seed) for image in good.glob("*.png")]
        train, validation, test = (placed.count(f"{name}/good") for name in ("train", "validation", "test"))
        project.config["dataset"]["split"] = {"validation": 0.4, "test": 0.3, "seed": seed}
        found = project.found()["images"]
        rate = {1: "50", 2: "33", 3: "25", 4: "20", 5: "17"}.get(validation)
        promised = f"(which can promise {rate} % false alarms, and no less)"
        if train and validation and test:
            said = f"coins: {train} images train, {validation} validate {promised}, {test} test"
            assert found.state == "ok" and said in found.words
        else:
            assert found.state == "missing" and "gets none of the 6 good images" in found.words
        seen.add(found.state)
    assert seen == {"ok", "missing"}
    project.config["dataset"]["images"]["coins"]["good"] = ["photographs"]
    assert "photographs: no such folder" in project.only_missing("images")


def test_an_unpacked_loco_is_checked_against_its_table(project: Project, prepared: Prepared) -> None:
    table = Path("config/mvtec_loco.csv")
    counts = ",".join(str(GENERATED[name]) for name in COUNTS)
    table.write_text(f"{table.read_text().splitlines()[0]}\n{prepared.category},320,240,{counts}\n")
    project.config["dataset"]["source"] = "mvtec_loco"
    assert project.found()["images"].state == "ok"
    table.write_text(table.read_text().replace(f"320,240,{GENERATED['train']}", "320,240,99"))
    assert "holds 6 images, but 99 are published" in project.only_missing("images")
    assert not list(prepared.dataset.parent.glob("*.adopted.json")), "a look writes nothing"


def test_a_folder_to_be_linked_is_checked_against_its_table(project: Project, prepared: Prepared) -> None:
    table = Path("config/mvtec_loco.csv")
    counts = ",".join(str(GENERATED[name]) for name in COUNTS)
    table.write_text(f"{table.read_text().splitlines()[0]}\n{prepared.category},320,240,{counts}\n")
    project.config["dataset"] |= {"source": "mvtec_loco", "folder": "data/loco"}
    project.list_source("mvtec_loco", address=str(prepared.dataset))
    words = f"data/loco: the workflow makes it a link to {prepared.dataset}"
    assert project.found()["images"] == Finding("later", "images", words)
    table.write_text(table.read_text().replace(f"320,240,{GENERATED['train']}", "320,240,99"))
    assert "holds 6 images, but 99 are published" in project.only_missing("images")


def test_what_is_fetched_is_told_with_its_size_and_place(project: Project, server: Server) -> None:
    project.config["dataset"] |= {"source": "mvtec_loco", "folder": "data/loco"}
    project.list_source("mvtec_loco", address=server.address("good/data.bin"))
    found = project.found()["images"]
    assert found.state == "later" and found.words.startswith("data/loco: the workflow fetches 1.0 MB, 2.5 MB while")
    assert server.address("good/data.bin") in found.words and len(CONTENT) == 1_000_000
    project.list_source("mvtec_loco", address=server.address("unsized/data.bin"))
    assert "how large it is is not said there" in project.found()["images"].words


def an_absent_file(server: Server) -> tuple[str, str]:
    return server.address("good/none.bin"), "the server answered 404"


def a_closed_port(server: Server) -> tuple[str, str]:
    return f"http://127.0.0.1:{free_port()}/x", "cannot be reached from here"


def no_path(server: Server) -> tuple[str, str]:
    return "backbones/none.pth", "no such file"


@pytest.mark.parametrize("source", [an_absent_file, a_closed_port, no_path], ids=lambda f: f.__name__)
def test_weights_that_cannot_be_fetched_are_missing(
    project: Project, server: Server, source: Callable[[Server], tuple[str, str]]
) -> None:
    address, words = source(server)
    project.config["teacher"] |= {"backbone": "wide_resnet101_2", "backbone_weights": "imagenet"}
    project.list_source("wide_resnet101_2", address=address)
    found = project.only_missing("backbone")
    assert words in found and found.startswith("data/backbone/") and "put it there or write its path" in found


def test_weights_that_are_there_are_the_listed_ones(project: Project) -> None:
    project.config["teacher"] |= {"backbone": "resnet50", "backbone_weights": "imagenet"}
    assert "lists no source 'resnet50'" in project.only_missing("backbone")
    Path("weights.pth").write_bytes(b"weights")
    project.list_source("resnet50", address="none", output="weights.pth", sha256=sha256_of(Path("weights.pth")))
    assert project.found()["backbone"].words == "weights.pth: is the listed file"
    Path("weights.pth").write_bytes(b"others")
    assert "has SHA-256" in project.only_missing("backbone")


def test_a_published_teacher_of_ones_own_is_looked_into(project: Project) -> None:
    project.config["training"]["sizes"] = ["S"]
    project.config["teacher"]["published"] = {"S": "small.pth"}
    assert project.only_missing("teacher S") == "small.pth: no such file of teacher weights"
    torch.save(pdn(SIZES["S"], SIZES["S"].output).state_dict(), "small.pth")
    assert "none of the known teachers'" in project.only_missing("teacher S")
    assert "backbone" not in project.found(), "which only a pretraining reads"


def test_methods_from_outside_are_looked_at(project: Project) -> None:
    project.config["methods"] = {"mine": {"label": "Mine", "command": "methods/run"}}
    assert "methods/run: is no file" in project.only_missing("method mine")
    Path("methods").mkdir()
    Path("methods/run").touch(0o755)
    assert project.found()["method mine"].state == "ok"
    project.config["methods"] = {"theirs": {"label": "Theirs", "maps": "maps/{category}"}}
    assert "maps/coin_tray/test" in project.only_missing("method theirs")


def test_maps_made_elsewhere_are_looked_for_of_each_seed(project: Project) -> None:
    project.config["training"]["seeds"] = [3, 4]
    project.config["methods"] = {"theirs": {"label": "Theirs", "maps": "maps/{category}/{seed}"}}
    Path("maps/coin_tray/3/test").mkdir(parents=True)
    words = project.only_missing("method theirs")
    assert "maps/coin_tray/4/test" in words and "maps/coin_tray/3" not in words
    Path("maps/coin_tray/4/test").mkdir(parents=True)
    assert project.found()["method theirs"].words == "2 folders of maps"


def test_a_full_disk_is_named_with_what_is_needed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "results")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        full, other = (finding for finding in project.findings() if finding.what == "disk")
    finally:
        subprocess.run(["umount", tmp_path / "results"], check=True)
    assert full.state == "missing" and other.state == "ok", "the tracking store is on another disk"
    assert full.words.startswith("results/own: needs ") and "but 1.0 MB are free; make room" in full.words


def test_a_disk_holds_what_is_fetched_beside_the_models(project: Project, server: Server) -> None:
    def needed() -> float:
        return float(project.found()["disk"].words.split(": ")[1].split(" MB")[0].replace(",", ""))

    before = needed()
    assert before > 0
    project.config["dataset"] |= {"source": "mvtec_loco", "folder": "data/loco"}
    project.list_source("mvtec_loco", address=server.address("good/data.bin"))
    assert needed() == pytest.approx(before + 2.5, abs=0.11)


def newer(database: Path) -> None:
    of_revision(database, "ffff0000ffff")


def older(database: Path) -> None:
    of_revision(database, "0a8213491aaa")  # of one of MLflow's first migrations


def of_revision(database: Path, revision: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.commit()
    connection.close()


def damaged(database: Path) -> None:
    database.write_bytes(b"no database" * 999)


@pytest.mark.parametrize(
    ("damage", "words"), [(newer, "newer MLflow"), (older, "mlflow db upgrade"), (damaged, "not a database")]
)
def test_a_store_that_cannot_be_used_is_named(
    project: Project, store: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(Path(shutil.copy(store, "mlflow.db")))
    found = project.only_missing("tracking")
    assert words in found and "mlflow.db: " in found and LATER not in found


@pytest.mark.parametrize("there", [True, False])
def test_a_store_that_cannot_be_written_is_named(project: Project, store: Path, tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    if there:
        shutil.copy(store, folder / "mlflow.db")
    project.config["tracking"]["uri"] = "sqlite:///shared/mlflow.db"
    folder.chmod(0o555)
    command = [sys.executable, "-m", "dfsc.cli", "doctor", "--configfile", str(project.write()), "--device", "cpu"]
    if os.getuid() == 0:  # who may do anything, unless this is taken away
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    run = subprocess.run(command, capture_output=True, text=True)
    folder.chmod(0o755)
    assert run.returncode == 1 and run.stderr == "" and run.stdout.endswith("\n1 missing\n")
    assert (
        f"missing  tracking       tracking store sqlite:///shared/mlflow.db: {'is read' if there else ''}" in run.stdout
    )


def test_a_server_that_is_down_is_named(project: Project) -> None:
    project.config["tracking"]["uri"] = uri = f"http://127.0.0.1:{free_port()}"
    found = project.only_missing("tracking")
    assert uri in found and "make tracking-server" in found and "MLFLOW_TRACKING_PASSWORD" in found
    assert LATER not in found


@pytest.mark.skipif(Path("/etc/slurm/slurm.conf").exists(), reason="this machine has a Slurm")
def test_a_slurm_that_does_not_answer_is_named(project: Project) -> None:
    found = project.found(profile=CHECKOUT / "slurm", device="auto")
    assert found["Slurm"].state == "missing" and "GPU" not in found, "the GPUs are Slurm's"
    assert "Slurm does not answer" in found["Slurm"].words or "sbatch is not on this machine" in found["Slurm"].words


def test_slurm_is_asked_for_what_the_profile_says(tmp_path: Path) -> None:
    profile = read_profile(CHECKOUT / "slurm")
    of_train = profile["set-resources"]["train"]
    assert sbatch_options(profile) == [
        "--gpus=1", f"--mem={of_train['mem_mb']}", f"--time={of_train['runtime']}",
        f"--cpus-per-task={profile['set-threads']['train']}",
    ]  # fmt: skip
    profile["default-resources"] |= {"slurm_account": "lab", "slurm_partition": "long"}
    of_train |= {"gpu": 0, "gres": "'shard:1'"}
    assert sbatch_options(profile)[:3] == ["--account=lab", "--partition=long", "--gres=shard:1"]
    assert sbatch_options({"default-resources": ["mem_mb=4000"], "set-resources": None}) == ["--cpus-per-task=1"]
    with pytest.raises(UserError, match="no such file; it should be a profile of Snakemake"):
        read_profile(tmp_path)


@pytest.mark.parametrize("name", ["slurm", "profiles/workstation", "profiles/default"])
def test_our_own_profiles_are_read(name: str) -> None:
    assert read_profile(CHECKOUT / name)
