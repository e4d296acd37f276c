"""A real MLflow server on a real PostgreSQL, started as the README says, that a test may stop and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from support.checkout import CHECKOUT
from support.debian import install
from support.local_server import free_port, wait_until_healthy

SCRIPT = CHECKOUT / "scripts" / "tracking_server"
PASSWORD = token_hex(8)


class Server:
    """The tracking server; its database and artifacts outlive a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.trusted: Path | None = None  # certificate
        self.arguments: list[str] = []
        self.environment = {**os.environ, "FOLDER": str(folder), "PORT": str(self.port)}
        self.process: subprocess.Popen[bytes] | None = None

    def secure(self) -> None:
        """Before it starts: only https, with a certificate made here for localhost, and a password for admin."""
        key, self.trusted = self.folder / "key.pem", self.folder / "certificate.pem"
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
        make += ["-keyout", str(key), "-out", str(self.trusted)]
        name = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([*make, *name], check=True, capture_output=True)
        self.uri = f"https://localhost:{self.port}"
        self.arguments = ["--app-name", "basic-auth", "--allowed-hosts", f"localhost:{self.port}"]
        self.arguments += ["--uvicorn-opts", f"--ssl-keyfile {key} --ssl-certfile {self.trusted}"]
        self.environment |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": token_hex(32), "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self.folder / "log"
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [SCRIPT, *self.arguments], cwd=self.folder, env=self.environment, stdout=stream, stderr=stream
            )
        wait_until_healthy(f"{self.uri}/health", self.process, log, self.trusted)

    def stop(self) -> None:
        """Stop it as Ctrl-C does, database included."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None


@contextmanager
def new_server() -> Iterator[Server]:
    """A tracking server of the tests' own, yet to be started; installed where missing, stopped whatever happens."""
    if not (list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb")):
        install("postgresql")
    # Not pytest's own folder: as root, the database belongs to another user, who must be let in.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()
