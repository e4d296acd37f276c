"""Debian's packages for the tests that need a server, as root or by sudo without a password."""

import os
import shutil
import subprocess

import pytest

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


def install(*packages: str) -> None:
    """Install packages with what they need and nothing more; skips the tests where that cannot be done."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or subprocess.run([*AS_ROOT, "true"], check=False).returncode != 0:
        pytest.skip(f"not installed, and cannot be: that takes apt-get install {names}, as root")
    command = [*AS_ROOT, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", "--quiet"]
    subprocess.run([*command, "update"], check=True)
    subprocess.run([*command, "install", "--yes", "--no-install-recommends", *packages], check=True)
