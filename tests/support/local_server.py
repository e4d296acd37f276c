"""What tests need that start a server on loopback: a port for it, and patience until it answers."""

import socket
import subprocess
import time
from pathlib import Path

import requests


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_healthy(
    address: str, process: subprocess.Popen[bytes], log: Path, trusted: Path | None = None, seconds: float = 120
) -> None:
    """Wait until an address answers that all is well; fails with the log if the process that should answer ends.

    `trusted`: the certificate of a server with TLS.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if requests.get(address, timeout=5, verify=str(trusted) if trusted else True).ok:
                return
        except requests.RequestException:
            pass  # not listening yet
        assert process.poll() is None and time.monotonic() < end, f"{address} does not answer:\n{log.read_text()}"
        time.sleep(0.2)
