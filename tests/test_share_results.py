"""Sharing results through a real S3-compatible server: a second lab gets equal tables without training."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from support.checkout import Checkout, job_counts

SHARED = "results/smallest.dvc"
TABLE = "results/smallest/tables/table1_image_auroc.md"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3-compatible server with one bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="lab")
    yield address
    server.stop()


def dvc(checkout: Checkout, *arguments: str) -> None:
    """Run DVC in a checkout."""
    run = subprocess.run(["dvc", *arguments], cwd=checkout.root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_second_lab_makes_the_tables_without_training(checkout: Checkout, store: str, tmp_path: Path) -> None:
    first, second = Checkout.new(tmp_path / "first"), Checkout.new(tmp_path / "second", quick=True)
    shutil.copytree(checkout.root / "results", first.root / "results")
    for lab in (first, second):
        dvc(lab, "remote", "add", "--local", "lab", "s3://lab/dfsc")
        dvc(lab, "remote", "modify", "--local", "lab", "endpointurl", store)
    dvc(first, "add", "results/smallest")
    dvc(first, "push", "--remote", "lab", SHARED)

    (second.root / "results").mkdir()
    shutil.copy(first.root / SHARED, second.root / SHARED)
    dvc(second, "pull", "--remote", "lab", SHARED)
    assert not (second.root / TABLE).exists() and not list((second.root / "results").rglob("run.json"))
    second.smallest("--touch")
    planned = job_counts(second.smallest("--dry-run", "--", TABLE))
    assert planned["track"] == 2 and not {"train", "score", "evaluate", "pretrain_teacher"} & planned.keys()
    run = second.smallest("--", TABLE)
    assert run.returncode == 0, run.stdout
    assert (second.root / TABLE).read_text() == (checkout.root / TABLE).read_text()
