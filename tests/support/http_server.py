"""A real HTTP server on this machine, one that behaves and one that does not."""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = random.Random(1).randbytes(1_000_000)


class Server(ThreadingHTTPServer):
    """Serves `files`; the first part of a path says how it behaves: /cut/data.bin drops the first connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"data.bin": CONTENT}
        self.requests: list[tuple[str, str | None]] = []  # path and Range header, as they came

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # which clients killed by a test cause
            super().handle_error(request, client_address)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def ranges(self, path: str) -> list[str | None]:
        return [requested for name, requested in self.requests if name == f"/{path}"]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Range"]))
        first = Counter(path for path, _ in self.server.requests)[self.path] == 1
        _, behaviour, name = self.path.split("/")
        content = self.server.files.get(name)
        if content is None or (behaviour == "busy" and first):
            return self.send_error(404 if content is None else 503)
        if behaviour == "wrong":
            content = content[::-1]
        if behaviour == "slow" and first:
            time.sleep(2)
        start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if "norange" not in behaviour else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if behaviour != "unsized":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) // 2 if behaviour.startswith("cut") and first else len(content)
        for position in range(start, end, 50_000):
            self.wfile.write(content[position : min(position + 50_000, end)])
            time.sleep(0.1 if behaviour == "drip" else 0)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[Server]:
    """A server that answers within the block."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
