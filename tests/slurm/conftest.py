"""A real Slurm of one node with two pretend GPUs, for as long as the tests run."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ONE_NODE = Path(__file__).with_name("one_node")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
PACKAGES = ("slurm-wlm", "munge")


def _install() -> None:
    if shutil.which("slurmctld") and shutil.which("munged"):
        return
    if shutil.which("apt-get") is None or subprocess.run([*AS_ROOT, "true"], check=False).returncode != 0:
        pytest.skip(f"Slurm is not installed, and cannot be: that takes apt-get install {' '.join(PACKAGES)}, as root")
    wait = ("-o", "DPkg::Lock::Timeout=300")
    subprocess.run([*AS_ROOT, "apt-get", *wait, "update", "--quiet"], check=True)
    command = [*AS_ROOT, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *wait, "install", "--yes", "--quiet"]
    subprocess.run([*command, "--no-install-recommends", *PACKAGES], check=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slurm installed where missing, started, and stopped whatever happens."""
    _install()
    folder = tmp_path_factory.mktemp("node")
    try:
        started = subprocess.run([*AS_ROOT, ONE_NODE, "start", folder], check=False, stderr=subprocess.PIPE, text=True)
        if started.returncode == 3:
            pytest.skip(started.stderr.strip())
        assert started.returncode == 0, started.stderr
        yield
    finally:
        subprocess.run([*AS_ROOT, ONE_NODE, "stop", folder], check=True)
