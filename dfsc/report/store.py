"""The tracking store: opened or refused within seconds, its artifacts kept beside a database of one file."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dfsc.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from sqlalchemy import Connection

ARTIFACTS = "mlartifacts"  # of a local store; a server keeps its own
SQLITE = "sqlite:///"
LATER = "results stay on disk, run again to track them"

# A server that is down should be reported within seconds, not after MLflow's minutes of retries.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def masked(text: str) -> str:
    """`text` with the password of each address in it replaced by '***': user:password@host, ?password=..."""
    text = re.sub(r"(://[^/\s:@]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&]\w*password=)[^&\s]+", r"\1***", text)


@contextmanager
def tracking_client(uri: str, reading: bool = False) -> Iterator["MlflowClient"]:
    """A client of the store at `uri`; a new SQLite store is created first, by one process at a time.

    `reading`: of an SQLite store that cannot be written, a copy is opened, which is gone afterwards.
    Raises UserError, in one line without passwords, if the store cannot be opened, or fails meanwhile.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _opened(uri, reading) as address:
            yield MlflowClient(address)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        reason = re.sub(r"^\([\w.]+\) ", "", (str(error).strip().splitlines() or [type(error).__name__])[0])
        raise UserError(masked(f"tracking store {uri}: {reason}; {LATER}")) from None


@contextmanager
def _opened(uri: str, reading: bool) -> Iterator[str]:
    """The address under which MLflow finds the store, once it is known to answer."""
    from mlflow import MlflowClient

    database = database_of(uri)
    if database is None:
        if re.search(r"://[^@]*:.*[/@?#].*@", uri):
            raise UserError(f"tracking store {masked(uri)}: write / @ ? # in a password as %2F %40 %3F %23")
        if uri.startswith("postgresql"):
            _probe(uri)
        yield uri
        return
    if database.exists() and not database.is_file():
        raise UserError(f"tracking store {uri}: {database} is no file; move it away")
    with tempfile.TemporaryDirectory() as temporary:
        home, query = database.parent, uri.partition("?")[2]
        if reading and database.exists() and not is_writable(uri):
            database = Path(shutil.copyfile(database, Path(temporary, database.name)))
        # MLflow remembers a store by its address: a relative one would be that of the folder that one was in.
        address = f"{SQLITE}{database}" + (f"?{query}" if query else "")
        database.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if database.exists():
                _probe(address, home)
            MlflowClient(address).search_experiments(max_results=1)  # makes the tables of a new store
        yield address


def database_of(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute() if uri.startswith(SQLITE) else None


def is_writable(uri: str) -> bool:
    """Whether a store can be written, as far as its files tell: SQLite writes beside its file, too."""
    database = database_of(uri)
    return database is None or all(os.access(path, os.W_OK) for path in (database, database.parent))


def artifact_place(uri: str, experiment: str) -> str | None:
    """Where the artifacts of a new experiment go; None where a server says where."""
    if uri.startswith("http"):
        return None
    return ((database_of(uri) or Path(ARTIFACTS).absolute()).parent / ARTIFACTS / experiment).as_uri()


def _probe(uri: str, home: Path | None = None) -> None:
    """Connect once, where MLflow would try for a minute; then put right where artifacts lie, below `home`."""
    from sqlalchemy import create_engine, inspect, text

    with create_engine(uri).begin() as connection:
        tables = inspect(connection).get_table_names()
        if "alembic_version" in tables:
            _refuse_newer(uri, str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar()))
        if home is not None and {"experiments", "runs"} <= set(tables):
            _keep_artifacts_beside(connection, home)


def _refuse_newer(uri: str, revision: str) -> None:
    import mlflow.store.db_migrations as migrations

    if not list(Path(str(migrations.__file__)).parent.glob(f"versions/{revision}*.py")):
        raise UserError(
            masked(
                f"tracking store {uri}: was written by a newer MLflow than this one (schema {revision}); install that"
            )
        )


def _keep_artifacts_beside(connection: "Connection", home: Path) -> None:
    """MLflow records absolute paths, which in a checkout that was copied or moved are those of the original.

    New runs write below `home`; so do earlier ones, whose artifacts came along.
    """
    from sqlalchemy import text

    for experiment, old in connection.execute(text("SELECT experiment_id, artifact_location FROM experiments")).all():
        place = PurePosixPath(urlsplit(old or "").path)
        if not str(old).startswith("file:") or place.parent.name != ARTIFACTS:
            continue  # not ours
        new = f"{home.as_uri()}/{ARTIFACTS}/{place.name}"
        runs = "SELECT run_uuid FROM runs WHERE experiment_id = :id AND substr(artifact_uri, 1, :length) != :new"
        values = {"id": experiment, "new": f"{new}/", "length": len(new) + 1}
        moved = [
            run
            for run in connection.execute(text(runs), values).scalars()
            if (home / ARTIFACTS / unquote(place.name) / run).is_dir()
        ]
        if old != new:
            update = text("UPDATE experiments SET artifact_location = :new WHERE experiment_id = :id")
            connection.execute(update, {"new": new, "id": experiment})
        for run in moved:
            update = text("UPDATE runs SET artifact_uri = :new WHERE run_uuid = :id")
            connection.execute(update, {"new": f"{new}/{run}/artifacts", "id": run})


def artifacts_of(place: str, uri: str) -> "ArtifactRepository":
    """A run's artifacts, by the place that it names: MLflow's client remembers that by the run, whichever the store."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(place, tracking_uri=uri)
