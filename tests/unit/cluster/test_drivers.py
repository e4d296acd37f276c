"""Who drives jobs from a folder, told by real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dfsc.cluster.drivers import FOLDER, drivers
from dfsc.cluster.slurm import cancel_leftovers
from dfsc.errors import UserError

REGISTER = """
import signal, sys, time
from dfsc.cluster.drivers import register
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # below nohup it is ignored
register(sys.argv[1], sys.argv[2:])
print("registered", flush=True)
time.sleep(600)
"""
MODEL = "results/grid/model.pt"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A function that starts a process that is registered, in an empty folder without Slurm; killed at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    started: list[subprocess.Popen[str]] = []

    def begin(name: str = "dfsc_1", *outputs: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", REGISTER, name, *(outputs or (MODEL,))]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None and started[-1].stdout.readline() == "registered\n"
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def end(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGKILL) -> None:
    """End a process by a signal."""
    process.send_signal(number)
    process.wait(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_driver_is_alive_until_it_ends_however_it_ends(start: Start, number: signal.Signals) -> None:
    process = start()
    (driver,) = drivers()
    assert (driver.state, driver.process, driver.jobs) == ("alive", process.pid, "dfsc_1")
    end(process, number)
    assert [driver.state for driver in drivers()] == ["dead"]


def test_what_a_living_driver_makes_is_made_by_no_other(start: Start) -> None:
    process = start()
    with pytest.raises(UserError, match=rf"^{MODEL}: is being made by another Snakemake .*\(process {process.pid} on"):
        cancel_leftovers({MODEL, "results/grid/zzz.pt"})
    assert cancel_leftovers({"results/other/model.pt"}) == 0


def test_without_slurm_in_reach_nobody_says_that_a_dead_drivers_jobs_have_ended(start: Start) -> None:
    end(start())
    with pytest.raises(UserError, match="squeue is not on this machine"):
        cancel_leftovers({MODEL})
    assert cancel_leftovers({"results/other/model.pt"}) == 0 and len(drivers()) == 1


def test_a_driver_of_another_machine_is_not_called_dead(start: Start) -> None:
    process = start()
    (record,) = FOLDER.iterdir()
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "host": "login2"}))
    assert [driver.state for driver in drivers()] == ["alive"]  # its lock is seen
    end(process)
    assert [driver.state for driver in drivers()] == ["unknown"]


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"host": "here"}', '{"host": "here", "process": "x", "outputs": []}']
)
def test_a_damaged_record_is_named(start: Start, damage: str) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "dfsc_1").write_text(damage)
    with pytest.raises(
        UserError, match=rf"^{FOLDER}/dfsc_1: cannot be read as the record of a Snakemake .*; delete it"
    ):
        drivers()
