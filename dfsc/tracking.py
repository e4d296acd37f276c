"""MLflow: one run per trained model, written in one go. The only module that imports mlflow."""

import csv
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsc.errors import UserError
from dfsc.files import digest_of, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ARTIFACTS = Path("mlartifacts")  # of a local store; a server keeps its own
BATCH = 1000  # metrics per call that MLflow accepts
PARAMS_BATCH = 100
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # the interface then opens on the runs
    "mlflow.note.content": "One run per (size, category, method, seed). Each DFSC run has `difference.*` metrics: its "
    "own minus those of its baseline, the run in its tag `paired_baseline`. Tick both and press Compare.",
}
UNDIGESTED = ("loss/", "difference.", "cost.")  # metrics that are no result of the run by itself
SCORES = "scores.csv"

# A server that is down should be reported within seconds, not after MLflow's minutes of retries.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@contextmanager
def tracking_client(uri: str) -> Iterator["MlflowClient"]:
    """A client of the store at `uri`; a new SQLite store is created first, by one process at a time.

    Raises UserError naming the address if the store cannot be reached.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if uri.startswith("sqlite:///"):
            database = Path(uri.removeprefix("sqlite:///"))
            database.parent.mkdir(parents=True, exist_ok=True)
            with Path(f"{database}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                client = MlflowClient(uri)
                client.search_experiments(max_results=1)
        else:
            client = MlflowClient(uri)
        yield client
    except (MlflowException, SQLAlchemyError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise UserError(f"tracking store {uri}: {first_line}; results stay on disk, run again to track them") from error


@dataclass(frozen=True)
class TrackedRun:
    """What MLflow is told of one model."""

    name: str
    key: str  # by which it is found again, whatever it is called
    tags: Mapping[str, str]
    parameters: Mapping[str, Any]
    curve: list[dict[str, float]]
    metrics: Mapping[str, float]
    artifacts: Mapping[Path, str]  # file -> its folder in MLflow, '' for the top
    # These differ from run to run on equal inputs: metrics `cost.<name>`, and no part of the comparison.
    costs: Mapping[str, float] = field(default_factory=dict)


def track_run(uri: str, experiment: str, run: TrackedRun) -> dict[str, str]:
    """Track one model as a finished run; return its receipt {run_id, key, experiment, metrics_digest}.

    The run is found by its key: a finished one of equal metrics is kept as it is, any other of that key is deleted and
    written anew, so that retries never leave two.
    """
    with tracking_client(uri) as client:
        experiment_id = _experiment(client, uri, experiment)
        run_id = None
        for found in _runs_of(client, experiment_id, run.key):
            if run_id is None and found.info.status == "FINISHED" and _metrics_of(found, run.metrics) == run.metrics:
                run_id = found.info.run_id
            else:
                client.delete_run(found.info.run_id)
        if run_id is None:
            run_id = _write(client, experiment_id, run)
    return {"run_id": run_id, "key": run.key, "experiment": experiment, "metrics_digest": digest_of(dict(run.metrics))}


def _experiment(client: "MlflowClient", uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if uri.startswith("http") else (ARTIFACTS / name).resolve().as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException:  # another process was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"tracking store {uri}: experiment `{name}` is deleted; restore it in MLflow, or rename `benchmark`"
        )
    return str(found.experiment_id)


def _runs_of(client: "MlflowClient", experiment_id: str, key: str) -> list["Run"]:
    return list(client.search_runs([experiment_id], f"tags.key = '{key}'"))


def _metrics_of(run: "Run", names: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in run.data.metrics.items() if name in names}


def _write(client: "MlflowClient", experiment_id: str, run: TrackedRun) -> str:
    from mlflow.entities import Metric, Param

    tags = {**run.tags, "key": run.key}
    run_id = str(client.create_run(experiment_id, run_name=run.name, tags=tags).info.run_id)
    values = [
        Metric(f"loss/{loss}", value, 0, int(row["step"]))
        for row in run.curve
        for loss, value in row.items()
        if loss != "step"
    ]
    results = {**run.metrics, **{f"cost.{name}": value for name, value in run.costs.items()}}
    values += [Metric(name, value, 0, 0) for name, value in results.items()]
    for start in range(0, len(values), BATCH):
        client.log_batch(run_id, metrics=values[start : start + BATCH])
    entries = [Param(name, str(value)) for name, value in run.parameters.items()]
    for start in range(0, len(entries), PARAMS_BATCH):
        client.log_batch(run_id, params=entries[start : start + PARAMS_BATCH])
    for path, target in run.artifacts.items():
        client.log_artifact(run_id, str(path), target or None)
    client.set_terminated(run_id, "FINISHED")  # last: a run cut short before this line is written anew
    return run_id


def read_runs(uri: str, receipts: list[Path]) -> list[dict[str, Any]]:
    """The runs that the receipts name: tags, parameters, metrics and costs of each, in the receipts' order.

    Raises UserError naming the receipt if its run is gone, unfinished, of another key, or holds other metrics than
    were tracked; and the key if the store holds two finished runs of it.
    """
    rows: list[dict[str, Any]] = []
    with tracking_client(uri) as client:
        for path in receipts:
            receipt = read_record(path, "a receipt of `dfsc track`", ("run_id", "key", "metrics_digest"))
            rows.append(_verified_run(client, uri, path, receipt))
    return rows


def _verified_run(client: "MlflowClient", uri: str, path: Path, receipt: dict[str, str]) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    again = f"delete {path} and run the workflow again"
    try:
        run = client.get_run(receipt["run_id"])
    except MlflowException as error:
        raise UserError(f"{path}: its run {receipt['run_id']} is not in {uri}; {again}") from error
    if run.info.lifecycle_stage == "deleted" or run.info.status != "FINISHED":
        raise UserError(f"{path}: its run {receipt['run_id']} is deleted or unfinished; {again}")
    if run.data.tags.get("key") != receipt["key"]:
        raise UserError(f"{path}: run {receipt['run_id']} has another key than the receipt; {again}")
    metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith(UNDIGESTED)}
    if digest_of(metrics) != receipt["metrics_digest"]:
        raise UserError(f"{path}: metrics of run {receipt['run_id']} were changed after tracking; {again}")
    doubles = [
        other.info.run_id
        for other in _runs_of(client, run.info.experiment_id, receipt["key"])
        if other.info.status == "FINISHED"
    ]
    if len(doubles) > 1:
        raise UserError(
            f"{path}: {len(doubles)} finished runs have the key {receipt['key']} "
            f"({', '.join(doubles)}); delete all but {receipt['run_id']} in MLflow"
        )
    return {
        "run_id": receipt["run_id"],
        "tags": dict(run.data.tags),
        "parameters": dict(run.data.params),
        "metrics": metrics,
        "costs": {
            name.removeprefix("cost."): value for name, value in run.data.metrics.items() if name.startswith("cost.")
        },
    }


def read_scores(uri: str, run_ids: Iterable[str]) -> dict[str, dict[str, float]]:
    """The image scores tracked with each run, {run id: {'test/good/000.png': score}}.

    Raises UserError naming the run whose scores.csv is gone or damaged.
    """
    from mlflow.exceptions import MlflowException

    scores = {}
    with tracking_client(uri) as client, tempfile.TemporaryDirectory() as folder:
        for run_id in run_ids:
            try:
                file = Path(client.download_artifacts(run_id, SCORES, folder))
                with file.open(encoding="utf-8", newline="") as stream:
                    scores[run_id] = {row["path"]: float(row["image_score"]) for row in csv.DictReader(stream)}
            except (MlflowException, OSError, ValueError, KeyError) as error:
                raise UserError(f"run {run_id}: its artifact {SCORES} cannot be read; track the run again") from error
    return scores


def record_differences(uri: str, differences: Mapping[str, tuple[str, Mapping[str, float]]]) -> None:
    """Give each DFSC run its difference from its paired baseline: {run id: (baseline's run id, {metric: value})}.

    Metrics 'difference.<metric>', in the metric's unit, and the tag `paired_baseline`. What is there is left alone.
    """
    from mlflow.entities import Metric, RunTag

    with tracking_client(uri) as client:
        for run_id, (baseline, values) in differences.items():
            run = client.get_run(run_id)
            new = {f"difference.{name}": value for name, value in values.items()}
            new = {name: value for name, value in new.items() if run.data.metrics.get(name) != value}
            if new or run.data.tags.get("paired_baseline") != baseline:
                metrics = [Metric(name, value, 0, 0) for name, value in new.items()]
                client.log_batch(run_id, metrics=metrics, tags=[RunTag("paired_baseline", baseline)])
