"""What Snakemake would run: every job of a dry run, with its rule, wildcards, command and reason.

A start of Snakemake takes 4 s. Here one process imports it, and plans through its own API in a fork of itself for each
question, in half a second; a fork imports this project's code anew. More configurations in one question: 0.2 s each.
"""

import json
import logging
import os
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.checkout import CHECKOUT, Checkout


@dataclass(frozen=True)
class Job:
    """A job of a dry run."""

    rule: str
    wildcards: dict[str, str]
    command: str
    reason: str
    gpus: int
    priority: int
    inputs: list[str]
    outputs: list[str]
    params: dict[str, str]

    @property
    def params_changed(self) -> bool:
        """Whether a parameter of its own makes it run, not only a job before it."""
        return "Params have changed" in self.reason


@dataclass(frozen=True)
class Planner:
    """Plans in one checkout; made by `planning`."""

    process: "subprocess.Popen[str]"

    def each(self, configfiles: list[str], overlays: dict[str, dict[str, Any]]) -> dict[str, list[Job]]:
        """The jobs of a dry run of the configurations with each of `overlays` laid over them, by the same names."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps([configfiles, [*overlays.values()]]), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, list), answer
        return {name: [Job(**job) for job in jobs] for name, jobs in zip(overlays, answer, strict=True)}

    def jobs(self, *configfiles: str, **overlay: Any) -> list[Job]:
        """The jobs of a dry run of these configurations, with `overlay` laid over them."""
        return self.each([*configfiles], {"": overlay})[""]

    def counts(self, *configfiles: str, **overlay: Any) -> dict[str, int]:
        """The same as rule -> jobs, `all` left out."""
        return dict(Counter(job.rule for job in self.jobs(*configfiles, **overlay) if job.rule != "all"))


@contextmanager
def planning(checkout: Checkout) -> Iterator[Planner]:
    """A planner for this checkout, as its files are when it is asked."""
    with subprocess.Popen(
        [sys.executable, "-m", "support.plans"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=checkout.root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(checkout.root), str(CHECKOUT / "tests")))},
        text=True,
    ) as process:
        yield Planner(process)


class _Jobs(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(getattr(record, "event", "")).endswith("job_info"):
            job = vars(record)
            named = {"rule": job["rule_name"], "wildcards": dict(job["wildcards"] or {})}
            named |= {"command": job["shellcmd"] or "", "reason": str(job["reason"])}
            named |= {"inputs": list(job["input"]), "outputs": list(job["output"]), "params": job["jobid"]}
            self.found.append(named | {"gpus": job["resources"].get("gpu", 0), "priority": job["priority"]})


def _plan(configfiles: list[str], overlay: dict[str, Any]) -> list[dict[str, Any]]:
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

    jobs = _Jobs()
    with SnakemakeApi(OutputSettings(dryrun=True, printshellcmds=True)) as api:
        config = ConfigSettings(configfiles=[Path(name) for name in configfiles], config=overlay)
        workflow = api.workflow(ResourceSettings(cores=2), config_settings=config, snakefile=Path("Snakefile"))
        dag = workflow.dag(DAGSettings())
        logger.addHandler(jobs)
        try:
            dag.execute_workflow(executor="dryrun")
        finally:
            logger.removeHandler(jobs)
        planned = workflow._workflow.dag  # nothing public has a job's params
        params = {planned.jobid(job): {name: str(value) for name, value in job.params.items()} for job in planned.jobs}
    return [job | {"params": params[job["params"]]} for job in jobs.found]


def _answer(question: str) -> list[list[dict[str, Any]]] | str:
    configfiles, overlays = json.loads(question)
    try:
        return [_plan(configfiles, overlay) for overlay in overlays]
    except BaseException:
        return traceback.format_exc()


if __name__ == "__main__":
    import snakemake.api  # noqa: F401  (before the forks)

    for line in sys.stdin:
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            answers, sys.stdout = sys.stdout, sys.stderr
            print(json.dumps(_answer(line)), file=answers, flush=True)
            os._exit(0)
