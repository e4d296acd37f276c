"""A real Slurm of one node with two pretend GPUs, for as long as the tests run."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.debian import AS_ROOT, install

ONE_NODE = Path(__file__).with_name("one_node")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slurm installed where missing, started, and stopped whatever happens."""
    if not (shutil.which("slurmctld") and shutil.which("munged")):
        install("slurm-wlm", "munge")
    folder = tmp_path_factory.mktemp("node")
    try:
        started = subprocess.run([*AS_ROOT, ONE_NODE, "start", folder], check=False, stderr=subprocess.PIPE, text=True)
        if started.returncode == 3:
            pytest.skip(started.stderr.strip())
        assert started.returncode == 0, started.stderr
        yield
    finally:
        subprocess.run([*AS_ROOT, ONE_NODE, "stop", folder], check=True)
