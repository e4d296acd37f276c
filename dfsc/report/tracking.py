"""Runs in MLflow: one per trained model, written in one go, and read back as they were written."""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsc.errors import UserError, listed
from dfsc.files import digest_of, read_record, reading
from dfsc.inference.image_scores import read_scores as read_image_scores
from dfsc.report.store import artifact_place, artifacts_of, is_writable, masked, tracking_client
from dfsc.settings.training import WATCHED

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 200  # runs per call; MLflow accepts 50,000, but a server must answer within seconds
BATCH = 1000  # metrics per call that MLflow accepts
PARAMS_BATCH = 100
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # the interface then opens on the runs
    "mlflow.note.content": "One run per (category, method, seed). Each compared run has `difference.*` metrics: its "
    "own minus those of its baseline, the run in its tag `paired_baseline`. Tick both and press Compare.",
}
DIFFERENCE, COST = "difference.", "cost."  # beginnings of metrics
UNDIGESTED = ("loss/", "constraint/", DIFFERENCE, COST)  # those that are no result of the run by itself
SCORES = "scores.csv"
# Tracks what is missing or changed, of all runs at once, and nothing else: what is there as it should be is kept.
TRACK_AGAIN = (
    "run `snakemake --cores 1 --forcerun track track_teacher`, with your --configfile, to track it again from the "
    "results on disk; nothing is trained"
)


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
    # Of the training, in milliseconds since 1970; without them, those of tracking.
    started: int | None = None
    finished: int | None = None


def track_run(uri: str, experiment: str, run: TrackedRun) -> dict[str, str]:
    """Track one model as a finished run; return its receipt {run_id, key, experiment, metrics_digest}.

    The run is found by its key: a finished one of equal tags and metrics is kept, and given the artifacts that it
    lacks; any other of that key is deleted and written anew, so that retries never leave two.
    """
    with tracking_client(uri) as client:
        experiment_id = _experiment(client, uri, experiment)
        place = client.get_experiment(experiment_id).artifact_location
        run_id = None
        for found in _runs_of(client, experiment_id, run.key):
            # A run whose artifacts lie in a checkout that this one was copied from is written anew, into this one.
            is_here = str(found.info.artifact_uri).startswith(f"{place}/")
            if run_id is None and is_here and _is_as_tracked(found, run):
                run_id = found.info.run_id
                _write_artifacts(client, uri, run_id, run.artifacts)
            else:
                client.delete_run(found.info.run_id)
        if run_id is None:
            run_id = _write(client, uri, experiment_id, run)
    return {"run_id": run_id, "key": run.key, "experiment": experiment, "metrics_digest": digest_of(dict(run.metrics))}


def _experiment(client: "MlflowClient", uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_place(uri, name), EXPERIMENT_TAGS))
        except MlflowException:  # another process was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        store = f"tracking store {masked(uri)}"
        raise UserError(f"{store}: experiment `{name}` is deleted; restore it in MLflow, or rename `benchmark`")
    return str(found.experiment_id)


def _runs_of(client: "MlflowClient", experiment_id: str, key: str) -> list["Run"]:
    return list(client.search_runs([experiment_id], f"tags.key = '{key}'"))


def _results_of(run: "Run") -> dict[str, float]:
    return {name: value for name, value in run.data.metrics.items() if not name.startswith(UNDIGESTED)}


def _is_as_tracked(found: "Run", run: TrackedRun) -> bool:
    tags = {name: value for name, value in run.tags.items() if value}  # a server may keep no empty ones
    return (
        found.info.status == "FINISHED"
        and tags.items() <= found.data.tags.items()
        and _results_of(found) == run.metrics
    )


def _write(client: "MlflowClient", uri: str, experiment_id: str, run: TrackedRun) -> str:
    from mlflow.entities import Metric, Param

    tags = {**run.tags, "key": run.key}
    run_id = str(client.create_run(experiment_id, run.started, tags, run.name).info.run_id)
    values = [
        Metric(f"{'constraint' if name in WATCHED else 'loss'}/{name}", value, 0, int(row["step"]))
        for row in run.curve
        for name, value in row.items()
        if name != "step"
    ]
    results = {**run.metrics, **{f"{COST}{name}": value for name, value in run.costs.items()}}
    values += [Metric(name, value, 0, 0) for name, value in results.items()]
    for start in range(0, len(values), BATCH):
        client.log_batch(run_id, metrics=values[start : start + BATCH])
    entries = [Param(name, str(value)) for name, value in run.parameters.items()]
    for start in range(0, len(entries), PARAMS_BATCH):
        client.log_batch(run_id, params=entries[start : start + PARAMS_BATCH])
    _write_artifacts(client, uri, run_id, run.artifacts)
    # Last: a run cut short before this line is written anew.
    client.set_terminated(run_id, "FINISHED", run.finished)
    return run_id


def _write_artifacts(client: "MlflowClient", uri: str, run_id: str, artifacts: Mapping[Path, str]) -> None:
    """Write those that are not there in their length; and the scores always, since tables are made from them."""
    place = artifacts_of(str(client.get_run(run_id).info.artifact_uri), uri)
    there = {
        file.path: file.file_size for folder in {*artifacts.values()} for file in place.list_artifacts(folder or None)
    }
    for path, folder in artifacts.items():
        if path.name == SCORES or there.get(f"{folder}/{path.name}".lstrip("/")) != path.stat().st_size:
            place.log_artifact(str(path), folder or None)  # type: ignore[no-untyped-call]


def read_runs(uri: str, receipts: list[Path]) -> list[dict[str, Any]]:
    """The runs that the receipts name, in their order.

    Of each: run_id, name, artifacts (where they lie), tags, parameters, metrics, costs, and differences from its
    baseline, as `record_differences` gave them.

    Raises UserError naming the receipts whose run is gone, unfinished, of another key, of other metrics than were
    tracked, or not the only finished one of its key; it says how to track all of these again.
    """
    told: dict[Path, dict[str, Any]] = {}
    faults: dict[Path, str] = {}
    for path in receipts:
        try:
            told[path] = read_record(path, "a receipt of `dfsc track`", ("run_id", "key", "metrics_digest"))
        except UserError as fault:
            faults[path] = str(fault)
    with tracking_client(uri, reading=True) as client:
        found = _runs_beside(client, [str(receipt["run_id"]) for receipt in told.values()])
    finished = Counter(map(_place_of, filter(_is_finished, found.values())))
    for path, receipt in told.items():
        if said := _fault_of(receipt, found.get(str(receipt["run_id"])), finished):
            faults[path] = f"{path} ({said})"
    if faults:
        listing = listed([faults[path] for path in receipts if path in faults])
        store = f"tracking store {masked(uri)}"
        raise UserError(f"{store}: {len(faults)} of {len(receipts)} runs: {listing}; {TRACK_AGAIN}")
    return [_as_row(found[str(told[path]["run_id"])]) for path in receipts]


def _runs_beside(client: "MlflowClient", run_ids: Iterable[str]) -> dict[str, "Run"]:
    """The runs of these ids, as far as they exist, and all others of their experiments: read in pages, not one by one.

    One that is not in a page, since it is deleted, or of an experiment that was not read yet, is asked for by itself.
    """
    from mlflow.exceptions import MlflowException

    found: dict[str, Run] = {}
    experiments = set[str]()
    for run_id in run_ids:
        if run_id in found:
            continue
        try:
            found[run_id] = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue
        experiment = found[run_id].info.experiment_id
        if experiment not in experiments:
            experiments.add(experiment)
            found |= {run.info.run_id: run for run in _pages_of(client, experiment)}
    return found


def _pages_of(client: "MlflowClient", experiment_id: str) -> Iterator["Run"]:
    page = client.search_runs([experiment_id], max_results=PAGE)
    yield from page
    while page.token:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=page.token)
        yield from page


def _is_finished(run: "Run") -> bool:
    return bool(run.info.status == "FINISHED" and run.info.lifecycle_stage != "deleted")


def _place_of(run: "Run") -> tuple[str, str]:
    return run.info.experiment_id, run.data.tags.get("key", "")


def _fault_of(receipt: Mapping[str, Any], run: "Run | None", finished: Mapping[tuple[str, str], int]) -> str:
    """What is wrong with the run of a receipt; `finished`: how many there are, by experiment and key."""
    if run is None:
        return f"its run {receipt['run_id']} is not there"
    if not _is_finished(run):
        return f"its run {receipt['run_id']} is deleted or unfinished"
    if run.data.tags.get("key") != str(receipt["key"]):
        return f"its run {receipt['run_id']} has another key"
    if digest_of(_results_of(run)) != str(receipt["metrics_digest"]):
        return f"metrics of its run {receipt['run_id']} were changed after tracking"
    if (number := finished[_place_of(run)]) > 1:
        return f"{number} finished runs have its key"
    return ""


def _as_row(run: "Run") -> dict[str, Any]:
    def named(start: str) -> dict[str, float]:
        return {name.removeprefix(start): value for name, value in run.data.metrics.items() if name.startswith(start)}

    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "artifacts": run.info.artifact_uri,
        "tags": dict(run.data.tags),
        "parameters": dict(run.data.params),
        "metrics": _results_of(run),
        "costs": named(COST),
        "differences": named(DIFFERENCE),
    }


def read_scores(uri: str, runs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The image scores tracked with each of `read_runs`' runs, {run id: {'test/good/000.png': score}}.

    Of test and validation images. Raises UserError naming the runs whose scores.csv is gone or damaged; it says how to
    track all of these again.
    """
    scores, faults = {}, []
    with tracking_client(uri, reading=True), tempfile.TemporaryDirectory() as folder:
        for run in runs:
            try:
                with reading(Path(SCORES), "image scores"):
                    place = artifacts_of(run["artifacts"], uri)
                    into = None if run["artifacts"].startswith("file:") else folder  # a local one is read where it lies
                    file = place.download_artifacts(SCORES, into)  # type: ignore[no-untyped-call]
                    scores[run["run_id"]] = {
                        **read_image_scores(Path(file), "validation"), **read_image_scores(Path(file))
                    }  # fmt: skip
            except UserError:
                faults.append(str(run["name"]))
    if faults:
        store = f"tracking store {masked(uri)}"
        raise UserError(f"{store}: {SCORES} of {len(faults)} runs cannot be read: {listed(faults)}; {TRACK_AGAIN}")
    return scores


def record_differences(
    uri: str, runs: Iterable[Mapping[str, Any]], differences: Mapping[str, tuple[str, Mapping[str, float]]]
) -> None:
    """Give each compared run its difference from its paired baseline: {run id: (baseline's run id, {metric: value})}.

    Metrics 'difference.<metric>', in the metric's unit, and the tag `paired_baseline`. What is there, as `read_runs`
    read it, is left alone; of a store that cannot be written, a line on stderr says so.
    """
    from mlflow.entities import Metric, RunTag

    missing = {}
    for run in (run for run in runs if run["run_id"] in differences):
        baseline, values = differences[run["run_id"]]
        new = {name: value for name, value in values.items() if run["differences"].get(name) != value}
        if new or run["tags"].get("paired_baseline") != baseline:
            missing[run["run_id"]] = baseline, [Metric(f"{DIFFERENCE}{name}", new[name], 0, 0) for name in new]
    if missing and not is_writable(uri):
        print(
            f"tracking store {masked(uri)}: is read only, so its runs are not given their differences", file=sys.stderr
        )
    elif missing:
        with tracking_client(uri) as client:
            for run_id, (baseline, metrics) in missing.items():
                client.log_batch(run_id, metrics=metrics, tags=[RunTag("paired_baseline", baseline)])
