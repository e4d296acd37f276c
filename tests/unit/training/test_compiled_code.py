"""Compiled code, kept in one file: used by the next process where it is whole and its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dfsc.training.compiled_code import PLACE, compiled_code

CPU = torch.device("cpu")
# Compiles a function of its own, through the compiler's CPU backend.
PROGRAM = """
import sys
from pathlib import Path
import torch
from dfsc.training.compiled_code import compiled_code

def function(x):
    return (torch.sin(x) * x.exp()).square().sum()

with compiled_code(Path(sys.argv[1]), {"code": "sine"}, torch.device("cpu")) as code:
    found = torch.compile(function, fullgraph=True)(torch.linspace(0, 1, 4099))
    code.keep()
print(found.item().hex())
"""


COMPILER = """#!/bin/sh
case "$*" in *.cpp*) echo "$*" >> {log} ;; esac  # otherwise it is asked what it is, and what a header holds
exec g++ "$@"
"""


@dataclass
class Compiling:
    """Processes that compile the program, and how often their C++ compiler was called to compile."""

    place: Path

    def run(self, folder: Path) -> tuple[str, str, int]:
        """What a process printed and said, whose code is kept in `folder`; and how often it compiled."""
        log, compiler = self.place / "log", self.place / "compiler"
        log.write_text("")
        compiler.write_text(COMPILER.format(log=log))
        compiler.chmod(0o755)
        ours = {name: value for name, value in os.environ.items() if name != PLACE}
        command = [sys.executable, "-c", PROGRAM, str(folder)]
        environment = {**ours, "CXX": str(compiler)}
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert run.returncode == 0, run.stderr
        ours_said = [line for line in run.stderr.splitlines() if line.startswith("dfsc: ")]
        return run.stdout, "".join(ours_said), len(log.read_text().splitlines())


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    processes, folder = Compiling(tmp_path), tmp_path / "code"
    printed, said, compiled = processes.run(folder)
    assert said == "" and compiled > 0
    assert processes.run(folder) == (printed, "", 0)


def kept(folder: Path, made_from: str = "a", device: torch.device = CPU) -> dict[str, bytes]:
    """What a training from `made_from` finds compiled; it adds a file, and keeps all."""
    with compiled_code(folder, {"code": made_from}, device) as code:
        assert code is not None
        found = {path.name: path.read_bytes() for path in code.place.rglob("*") if path.is_file()}
        Path(os.environ[PLACE], "deep").mkdir(exist_ok=True)
        Path(os.environ[PLACE], "deep", "kernel.so").write_bytes(made_from.encode() * 999)
        code.keep()
    assert not code.place.exists() and PLACE not in os.environ
    return found


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may keep compiled code in a place of their own."""
    monkeypatch.delenv(PLACE, raising=False)


def test_each_kind_of_training_has_a_file(tmp_path: Path) -> None:
    assert [kept(tmp_path, code) for code in "aabb"] == [{}, {"kernel.so": b"a" * 999}, {}, {"kernel.so": b"b" * 999}]
    assert len(list(tmp_path.iterdir())) == 2


OTHERS = {
    "torch.__version__": "99",
    "torch.get_num_threads": lambda: 99,
    "torch.backends.cpu.get_cpu_capability": lambda: "none",
    "platform.machine": lambda: "z80",
    "platform.python_version": lambda: "4.0",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_shapes_compiled_code_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kept(tmp_path)
    with monkeypatch.context() as other:
        other.setattr(name, OTHERS[name])
        assert kept(tmp_path) == {}
    assert kept(tmp_path) == {"kernel.so": b"a" * 999} and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "text", "a folder"])
def test_a_file_that_cannot_be_used_is_named(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        file.write_bytes(whole.replace(b"aaaa", b"abaa", 1))
    elif damage == "foreign":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("deep/kernel.so", b"other code")
            packed.comment = b"0" * 64
    elif damage == "text":
        file.write_text("no archive")
    else:
        file.mkdir()
    assert kept(tmp_path) == {}
    said = capsys.readouterr().err
    assert said.startswith(f"dfsc: {file}: ") and "compiled again" in said
    if damage != "a folder":  # which is left alone
        assert kept(tmp_path) == {"kernel.so": b"a" * 999} and capsys.readouterr().err == ""


def test_a_file_leads_to_no_other_place(tmp_path: Path) -> None:
    kept(tmp_path)
    (file,) = tmp_path.iterdir()
    with zipfile.ZipFile(file, "w") as packed:
        packed.comment = file.stem.encode()
        packed.writestr("../../escaped", b"")
    kept(tmp_path)
    assert not list(tmp_path.parent.rglob("escaped")) and not Path("/tmp/escaped").exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert kept(tmp_path / "file/below") == {}
    assert "each training compiles anew" in capsys.readouterr().err


def test_a_place_that_the_environment_names_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACE, "elsewhere")
    with compiled_code(tmp_path, {}, CPU) as code:
        assert code is None and os.environ[PLACE] == "elsewhere"
    with compiled_code(None, {}, CPU) as code:
        assert code is None
