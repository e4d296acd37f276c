"""From an archive's address to the tables, with no step by hand: the real fetch rule, DVC and an HTTP server."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml

from dfsc.data.layout import read_manifest
from dfsc.data.manifest import COLUMNS
from dfsc.data.synthetic import synthesize
from dfsc.model.networks import SIZES, pdn
from dfsc.settings.synthetic import SyntheticSettings
from support.checkout import Checkout, job_counts
from support.http_server import running_server

PARTS = ["coin_tray", "pretraining"]
COUNTS = {"train": 4, "validation": 2, "test_good": 3, "logical": 3, "structural": 3}
CONFIG = """
benchmark: fetched
dataset: {source: mvtec_loco, folder: data/mvtec_loco, categories: [coin_tray]}
pretraining: {images: imagenette, folder: data/imagenette/imagenette2/train}
"""
TABLE = "results/fetched/tables/table1_image_auroc.md"


def packed(folder: Path, name: str, mode: Literal["w:gz", "w:xz"]) -> bytes:
    """The folder as an archive, its content below `name`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        archive.add(folder, name)
    return stream.getvalue()


def test_from_address_to_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    synthesize(tmp_path / "made", SyntheticSettings(seed=1, pretraining=6, **COUNTS), PARTS)
    checkout = Checkout.new(tmp_path / "checkout", quick=True)
    archives = {
        "mvtec_loco": packed(tmp_path / "made/coin_tray", "coin_tray", "w:xz"),
        "imagenette": packed(tmp_path / "made/pretraining", "imagenette2/train/n01440764", "w:gz"),
    }
    sources = checkout.root / "config/sources.yaml"
    listed = yaml.safe_load(sources.read_text())
    published = ",".join(str(COUNTS[name if name != "good" else "test_good"]) for name in COLUMNS)
    table = checkout.root / "config/mvtec_loco.csv"
    table.write_text(f"{table.read_text()}coin_tray,320,240,{published}\n")
    small = yaml.safe_load((checkout.root / "tests/smallest.yaml").read_text())
    (checkout.root / "fetched.yaml").write_text(yaml.safe_dump({**small, **yaml.safe_load(CONFIG)}))

    with running_server() as server:
        for name, content in archives.items():
            server.files[name] = content
            listed["sources"][name]["address"] = server.address(f"cut/{name}")
            listed["sources"][name]["sha256"] = hashlib.sha256(content).hexdigest()
        sources.write_text(yaml.safe_dump(listed))
        run = checkout.snakemake("--configfile", "fetched.yaml", "--", TABLE)
        assert run.returncode == 0, run.stdout
        assert any(server.ranges("cut/mvtec_loco")), "the connection was cut, and the rest asked for"

    results = checkout.root / "results/fetched"
    tables = results / "tables"
    for text in tables.glob("*.md"):
        assert "imagenette (6 images)" in text.read_text(), f"{text.name} hides the pretraining images"
    assert "imagenette (6 images)" in (tables / "runs.csv").read_text()
    again = checkout.snakemake("--configfile", "fetched.yaml", "--", TABLE)
    assert again.stdout.count("Nothing to be done") == 1


def test_a_published_teacher_is_fetched_and_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    checkout = Checkout.new(tmp_path / "checkout", quick=True)
    small = yaml.safe_load((checkout.root / "tests/smallest.yaml").read_text())
    small["training"]["sizes"], small["teacher"]["published"] = ["S"], {"S": "fetch"}
    (checkout.root / "fetched.yaml").write_text(yaml.safe_dump(small))
    network = pdn(SIZES["S"], 384)
    torch.save(network.state_dict(), tmp_path / "teacher_small.pth")
    content = (tmp_path / "teacher_small.pth").read_bytes()
    sources, taken = checkout.root / "config/sources.yaml", "results/smallest/teachers/S/teacher.pt"
    listed = yaml.safe_load(sources.read_text())

    def fetched() -> subprocess.CompletedProcess[str]:
        return checkout.snakemake(taken, "--configfile", "fetched.yaml")

    with running_server() as server:
        server.files["teacher_small.pth"] = content
        listed["sources"]["teacher_small"]["address"] = server.address("good/teacher_small.pth")
        sources.write_text(yaml.safe_dump(listed))
        run = fetched()
        assert run.returncode == 1 and "teacher_small.pth" in run.stdout and "SHA-256" in run.stdout, run.stdout
        assert not (checkout.root / taken).exists(), "it is another file than the listed one"
        listed["sources"]["teacher_small"]["sha256"] = digest = hashlib.sha256(content).hexdigest()
        sources.write_text(yaml.safe_dump(listed))
        run = fetched()
        assert run.returncode == 0, run.stdout
        assert job_counts(run) == {"fetch": 1, "import_teacher": 1}

    weights = torch.load(checkout.root / taken, weights_only=True)["weights"]
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    made = json.loads((checkout.root / taken).with_suffix(".json").read_text())
    assert made["teacher"] == f"published: teacher_small.pth (sha256 {digest})"
    assert "Nothing to be done" in fetched().stdout
    shutil.rmtree(checkout.root / "data")  # DVC has a copy, and the server is gone
    (checkout.root / taken).unlink()
    run = fetched()
    assert run.returncode == 0 and (checkout.root / "data/teachers/teacher_small.pth").read_bytes() == content


def test_a_copy_unpacked_by_hand_is_used_where_it_lies(tmp_path: Path) -> None:
    synthesize(tmp_path / "made", SyntheticSettings(seed=1, pretraining=1, **COUNTS), PARTS)
    checkout = Checkout.new(tmp_path / "checkout", quick=True)
    table = checkout.root / "config/mvtec_loco.csv"
    table.write_text(f"{table.read_text()}coin_tray,320,240,4,2,3,3,3\n")
    small = yaml.safe_load((checkout.root / "tests/smallest.yaml").read_text())
    (checkout.root / "fetched.yaml").write_text(yaml.safe_dump({**small, **yaml.safe_load(CONFIG)}))
    (checkout.root / "data").mkdir()
    (checkout.root / "data/mvtec_loco").symlink_to(tmp_path / "made")
    manifest = "results/fetched/manifests/coin_tray/test.csv"
    run = checkout.snakemake("--configfile", "fetched.yaml", "--", manifest)
    assert run.returncode == 0, run.stdout
    assert "data/mvtec_loco: was not fetched, but fits config/mvtec_loco.csv; it is adopted" in run.stdout
    assert len(read_manifest(checkout.root / manifest)) == 3 + 3 + 3
    assert not (checkout.root / ".dvc/cache").exists()
    # Named by the configuration instead, it is the same copy.
    (checkout.root / "data/mvtec_loco").unlink()
    config = yaml.safe_load((checkout.root / "fetched.yaml").read_text())
    config["dataset"]["folder"] = str(tmp_path / "made")
    (checkout.root / "fetched.yaml").write_text(yaml.safe_dump(config))
    assert "Nothing to be done" in checkout.snakemake("--configfile", "fetched.yaml", "--", manifest).stdout
    shutil.rmtree(checkout.root / "results")
    run = checkout.snakemake("--configfile", "fetched.yaml", "--", manifest)
    assert run.returncode == 0 and f"{tmp_path / 'made'}: was not fetched, but fits" in run.stdout


def test_published_counts_are_checked(tmp_path: Path) -> None:
    synthesize(tmp_path / "data/mvtec_loco", SyntheticSettings(seed=1, pretraining=1, **COUNTS), PARTS)
    checkout = Checkout.new(tmp_path / "checkout")
    table = checkout.root / "config/mvtec_loco.csv"
    table.write_text(f"{table.read_text()}coin_tray,320,240,4,2,4,3,3\n")
    run = subprocess.run(
        [
            *("dfsc", "manifest", "--dataset", tmp_path / "data/mvtec_loco", "--category", "coin_tray"),
            *("--output", tmp_path / "manifest.csv", "--published", table),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert run.stderr == "dfsc: coin_tray/test/good: holds 3 images, but 4 are published; fetch it again\n"
