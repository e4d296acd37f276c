"""A real MLflow server on a real PostgreSQL: open on loopback, or with TLS and users."""

from collections.abc import Iterator

import pytest

from support.tracking_server import Server, new_server


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
