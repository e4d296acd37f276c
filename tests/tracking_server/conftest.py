"""A real MLflow server on a real PostgreSQL, started as the README says, that a test may stop and start again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "tracking_server"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


class Server:
    """The tracking server; its database and artifacts outlive a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = {**os.environ, "FOLDER": str(self.folder), "PORT": str(self.port)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([SCRIPT], env=environment, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            time.sleep(0.5)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop it as Ctrl-C does, database included."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None


def _install() -> None:
    if list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb"):
        return
    if shutil.which("apt-get") is None or subprocess.run([*AS_ROOT, "true"], check=False).returncode != 0:
        pytest.skip("PostgreSQL is not installed, and cannot be: that takes apt-get install postgresql, as root")
    wait = ("-o", "DPkg::Lock::Timeout=300")
    subprocess.run([*AS_ROOT, "apt-get", *wait, "update", "--quiet"], check=True)
    command = [*AS_ROOT, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *wait, "install", "--yes", "--quiet"]
    subprocess.run([*command, "--no-install-recommends", "postgresql"], check=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running tracking server of the tests' own, stopped whatever happens."""
    _install()
    # Not pytest's own folder: as root, the database belongs to another user, who must be let in.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
