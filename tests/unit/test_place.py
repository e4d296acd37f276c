"""A checkout however it was unpacked, and Snakemake wherever it is started."""

import os
import subprocess
from pathlib import Path

import pytest

from support.checkout import CHECKOUT, COPIED

SNAKEFILE = CHECKOUT / "Snakefile"


def test_nothing_of_the_workflow_is_a_link_which_a_zip_may_unpack_as_text() -> None:
    assert (CHECKOUT / "slurm/config.yaml").is_file()
    found = [path for name in COPIED for path in (CHECKOUT / name, *(CHECKOUT / name).rglob("*"))]
    assert len(found) > 50
    assert not [path for path in found if path.is_symlink()]


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("elsewhere", ["--snakefile", SNAKEFILE]),
        ("elsewhere", ["--snakefile", SNAKEFILE, "--directory", "."]),
        ("elsewhere", ["--snakefile", SNAKEFILE, "--configfile", CHECKOUT / "config/demo.yaml"]),
        ("with_a_configuration", ["--snakefile", SNAKEFILE]),
        (None, ["--directory", "{}"]),
    ],
)
def test_snakemake_away_from_its_checkout_says_where_to_go(
    tmp_path: Path, place: str | None, arguments: list[object]
) -> None:
    folder = tmp_path / place if place else CHECKOUT
    folder.mkdir(exist_ok=True)
    if place == "with_a_configuration":
        (folder / "config").symlink_to(CHECKOUT / "config")
    command = ["snakemake", "--dry-run", *(str(argument).format(tmp_path) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert run.stderr.splitlines()[-1] == f"dfsc: snakemake runs in its checkout: cd {CHECKOUT}, without -s and -d"
    assert "Traceback" not in run.stderr
