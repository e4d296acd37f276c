"""A checkout that was moved, and lost part of what it tracked: one printed command mends it, and trains nothing."""

import re
import shlex
import shutil
from pathlib import Path

from support.checkout import Checkout, job_counts

TABLES = "results/smallest/tables"
TABLE = f"{TABLES}/table1_image_auroc.md"


def test_the_printed_command_tracks_again_what_is_missing(checkout: Checkout, tmp_path: Path) -> None:
    shutil.copytree(checkout.root, tmp_path / "first", symlinks=True)
    moved = Checkout((tmp_path / "first").rename(tmp_path / "moved"), quick=True)
    table = (moved.root / TABLE).read_text()

    shutil.rmtree(moved.root / TABLES)
    assert moved.smallest("--", TABLE).returncode == 0, "moved, and nothing missing"
    assert (moved.root / TABLE).read_text() == table

    shutil.rmtree(moved.root / TABLES)
    shutil.rmtree(moved.root / "mlartifacts/smallest")
    run = moved.smallest("--", TABLE)
    assert run.returncode != 0
    (command,) = set(re.findall(r"`(snakemake .*?)`", run.stdout))
    arguments = [*shlex.split(command)[1:], "--configfile", "tests/smallest.yaml"]
    planned = job_counts(moved.snakemake("--dry-run", *arguments))
    assert planned["track"] == 2 and not {"train", "score", "evaluate", "pretrain_teacher"} & planned.keys()
    run = moved.snakemake(*arguments, "--", TABLE)
    assert run.returncode == 0, run.stdout
    assert (moved.root / TABLE).read_text() == table
    assert job_counts(moved.smallest("--dry-run", "--", TABLE)) == {}
