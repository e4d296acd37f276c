"""A command is stopped with all that it started, and quoted when it fails; its folder's digest is of its code."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dfsc.errors import Interrupted, RunFailed, UserError
from dfsc.outside import command as command_module
from dfsc.outside.command import folder_digest, run_command
from support.checkout import CHECKOUT
from support.outside_methods import write_method


def run(folder: Path, script: str, seconds: float = 60, reserve: int = 0) -> None:
    """Run a shell script as a command."""
    run_command([write_method(folder / "method", f"#!/bin/sh\n{script}\n")], folder, seconds, {}, reserve)


def is_gone(number: str) -> bool:
    """Whether a process has ended, if only its entry is left."""
    command = ["ps", "-o", "stat=", "-p", number.strip()]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout[:1] in ("", "Z")


def test_what_it_prints_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "echo one; echo two >&2; pwd")
    assert capsys.readouterr().out == f"one\ntwo\n{tmp_path}\n"


def test_no_terminal_obeys_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunFailed) as failed:
        run(tmp_path, r"printf 'a\tb\r\n 10%%\r 20%%\n\033[31mred\007\302\233\177 \303\274\n'; exit 1")
    told = r"\x1b[31mred\x07\x9b\x7f ü"
    assert capsys.readouterr().out == f"a\tb\n 10%\n 20%\n{told}\n"
    assert str(failed.value).endswith(f"its last lines: 10% | 20% | {told}")


def test_a_failure_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as failed:
        run(tmp_path, "seq 1 5000; printf 'loading\\rno weights.pt\\n\\n' >&2; exit 3")
    assert str(failed.value) == (
        f"{tmp_path}/method/run: ended with exit code 3; its last lines: 5000 | loading | no weights.pt"
    )


def test_a_silent_crash_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"/run: was ended by SIGSEGV; it printed nothing$"):
        run(tmp_path, "kill -SEGV $$")


def test_one_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"was stopped after 0.0167 minutes; its last lines: waiting"):
        run(tmp_path, "sleep 987654 & echo $! > child; echo waiting; trap '' TERM; sleep 987654", seconds=1)
    assert is_gone((tmp_path / "child").read_text())


def test_one_that_fills_the_disk_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"was stopped, as it left less than \d+ MiB free on the disk"):
        run(tmp_path, "sleep 987654", reserve=2**60)


def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    start = time.monotonic()
    run(tmp_path, "sleep 987 & echo started")
    assert time.monotonic() - start < 30


def test_sigterm_ends_the_command_too(tmp_path: Path) -> None:
    command = write_method(tmp_path / "method", "#!/bin/sh\necho $$ > started; sleep 987654\n")
    code = (
        "import sys; from pathlib import Path; from dfsc.outside.command import run_command; "
        f"run_command([{str(command)!r}], Path({str(tmp_path)!r}), 600, {{}}, 0)"
    )
    job = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text().strip():
        assert time.monotonic() < end and job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    _, errors = job.communicate(timeout=60)
    assert "Interrupted: stopped by SIGTERM" in errors
    assert is_gone((tmp_path / "started").read_text())


def test_sigterm_while_the_command_starts_ends_it_once_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, processes = command_module._started, []

    def signalled(*arguments: Any) -> "subprocess.Popen[bytes]":
        processes.append(started(*arguments))
        os.kill(os.getpid(), signal.SIGTERM)
        return processes[0]

    monkeypatch.setattr(command_module, "_started", signalled)
    command = write_method(tmp_path / "method", "#!/bin/sh\nsleep 987654\n")
    with pytest.raises(Interrupted):
        run_command([command], tmp_path, 600, {}, 0)
    assert is_gone(str(processes[0].pid))


@pytest.mark.parametrize(
    ("mode", "text", "message"),
    [
        (0o644, "#!/bin/sh\n", r"/run: is not executable; run chmod \+x"),
        (
            0o755,
            "no interpreter is named\n",
            r"/run: cannot be started \(Exec format error\); its first line must name",
        ),
    ],
)
def test_what_cannot_be_started_is_a_users_mistake(tmp_path: Path, mode: int, text: str, message: str) -> None:
    command = write_method(tmp_path / "method", text)
    command.chmod(mode)
    with pytest.raises(UserError, match=message):
        run_command([command], tmp_path, 9, {})


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/run: is no file; `command` names an executable file"):
        folder_digest(tmp_path / "run")


def test_the_digest_is_of_the_code(tmp_path: Path) -> None:
    command = write_method(tmp_path / "method", "#!/bin/sh\n")
    before = folder_digest(command)
    for path in (".venv/lib/package.py", "__pycache__/method.pyc", ".lock"):
        (command.parent / path).parent.mkdir(parents=True, exist_ok=True)
        (command.parent / path).write_text("of no concern")
    command.touch()
    moved = tmp_path / "moved"
    command.parent.rename(moved)
    assert folder_digest(moved / "run") == before
    (moved / "deeper").mkdir()
    (moved / "deeper/network.py").write_text("layers = 3")
    assert folder_digest(moved / "run") != before


def test_what_links_lead_to_is_code(tmp_path: Path) -> None:
    command, shared = write_method(tmp_path / "method", "#!/bin/sh\n"), tmp_path / "shared"
    (shared / "deeper").mkdir(parents=True)
    (shared / "deeper/network.py").write_text("layers = 3")
    (command.parent / "lib").symlink_to(shared)
    (command.parent / "one.py").symlink_to(shared / "deeper/network.py")
    linked = folder_digest(command)
    copied = write_method(tmp_path / "copied", "#!/bin/sh\n")
    shutil.copytree(shared, copied.parent / "lib")
    shutil.copy(shared / "deeper/network.py", copied.parent / "one.py")
    assert folder_digest(copied) == linked, "a link is what it leads to"
    (shared / "deeper/network.py").write_text("layers = 4")
    assert folder_digest(command) != linked


def test_links_lead_neither_round_nor_into_what_is_hidden(tmp_path: Path) -> None:
    command, shared = write_method(tmp_path / "method", "#!/bin/sh\n"), tmp_path / "shared"
    before = folder_digest(command)
    for hidden in (".venv", "__pycache__"):
        (command.parent / hidden).mkdir()
        (command.parent / hidden / "package.py").write_text("of no concern")
        (command.parent / f"to{hidden}").symlink_to(hidden)
    (command.parent / "itself").symlink_to(".")
    (command.parent / "above").symlink_to("..")
    (command.parent / "nowhere").symlink_to("nothing")
    assert folder_digest(command) == before
    shared.mkdir()
    (shared / "network.py").write_text("layers = 3")
    for name in ("one", "two"):  # each leads back: by either, there would be 2^40 ways
        (shared / name).symlink_to(command.parent)
        (command.parent / name).symlink_to(shared)
    began = time.monotonic()
    assert folder_digest(command) != before
    assert time.monotonic() - began < 5
