"""A real MLflow server on a real PostgreSQL, started as the README says, that a test may stop and start again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest
import requests

SCRIPT = Path(__file__).parents[2] / "scripts" / "tracking_server"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
PASSWORD = token_hex(8)


class Server:
    """The tracking server; its database and artifacts outlive a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.trusted: Path | None = None  # certificate
        self.arguments: list[str] = []
        self.environment = {**os.environ, "FOLDER": str(folder), "PORT": str(self.port)}
        self.process: subprocess.Popen[bytes] | None = None

    def secure(self) -> None:
        """Before it starts: only https, with a certificate made here for localhost, and a password for admin."""
        key, self.trusted = self.folder / "key.pem", self.folder / "certificate.pem"
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.trusted]
        name = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([*make, *name], check=True, capture_output=True)
        self.uri = f"https://localhost:{self.port}"
        self.arguments = ["--app-name", "basic-auth", "--allowed-hosts", f"localhost:{self.port}"]
        self.arguments += ["--uvicorn-opts", f"--ssl-keyfile {key} --ssl-certfile {self.trusted}"]
        self.environment |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": token_hex(32), "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command, place = [SCRIPT, *self.arguments], {"cwd": self.folder, "env": self.environment}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, **place, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=5, verify=str(self.trusted) if self.trusted else True).ok:
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


@contextmanager
def new_server() -> Iterator[Server]:
    """A tracking server of the tests' own, yet to be started; installed where missing, stopped whatever happens."""
    _install()
    # Not pytest's own folder: as root, the database belongs to another user, who must be let in.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running server, on loopback and open."""
    with new_server() as server:
        server.start()
        yield server


@pytest.fixture
def secured_server() -> Iterator[Server]:
    """A running server with TLS and users, as docs/cluster.md says, but on loopback."""
    with new_server() as server:
        server.secure()
        server.start()
        yield server
