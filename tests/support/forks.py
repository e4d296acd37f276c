"""`dfsc` and `snakemake` without most of their start: each a fork of one process that has imported what they need.

Of the 4 s of a job of the smallest configuration, 3 s import other packages. Here one process imports those, and none
of this project; a command is a fork of it, which runs the installed script as Python does that starts anew. The
checkout `finished`, with which tests compare others, is made by the commands as they are installed.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

IMPORTED = (
    *("torch", "torch._dynamo", "torchvision", "timm", "numpy", "scipy.stats", "pandas", "sklearn.metrics"),
    *("skimage.measure", "tifffile", "PIL.Image", "matplotlib.pyplot", "mlflow", "pydantic", "typer", "rich.table"),
    *("snakemake.cli", "yaml", "tqdm"),
)
FOLDER = "FOLDER_OF_FORKS"  # in the environment, so that pytest's workers share what pytest has started


def commands() -> Path:
    """A folder to be first in PATH: it holds both commands, as long as the process lives that asked first."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = str(started())
    return Path(os.environ[FOLDER])


def started() -> Path:
    """Start the process, which imports nothing before it is needed; returns a folder of commands that ask it."""
    folder = Path(tempfile.mkdtemp(prefix="forks-"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}  # which matplotlib reads where it is imported
        command = [sys.executable, __file__, "serve", str(listener.fileno()), str(folder)]
        # The pipe is closed where this process ends, in whichever way.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[listener.fileno()])
        atexit.register(server.communicate)
    for name in ("dfsc", "snakemake"):
        installed = Path(sys.executable).with_name(name)
        start = shlex.join([sys.executable, "-IS", __file__, "ask", str(folder / "socket"), str(installed)])
        (folder / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def ask(address: str, *command: str) -> int:
    """Have a command run with this process's files, folder and environment; returns its exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"."], [0, 1, 2])
        server.sendall(json.dumps([command, str(Path.cwd()), dict(os.environ)]).encode())
        server.shutdown(socket.SHUT_WR)
        return int(server.makefile().read())


def serve(listener: socket.socket, folder: str) -> None:
    """Start what is asked for, until the standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        asked, _ = listener.accept()
        import_all()
        if not os.fork():
            listener.close()
            return answer(asked)
        asked.close()
    shutil.rmtree(folder)


@lru_cache
def import_all() -> None:
    """Import what the commands need of other packages."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # or each fork would copy what the collector looks at


def answer(asked: socket.socket) -> None:
    """Run the command in a fork of this process, and send its exit code."""
    _, files, _, _ = socket.recv_fds(asked, 1, 3)
    command, folder, environment = json.loads(asked.makefile().read())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asked.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    asked.close()
    for number, (name, file) in enumerate(zip(("stdin", "stdout", "stderr"), files, strict=True)):
        os.dup2(file, number)
        os.close(file)
        setattr(sys, name, os.fdopen(number, "w" if number else "r", buffering=1, closefd=False))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    sys.path[:1] = [str(Path(command[0]).parent), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as ended:
        end(int(ended.code or 0))


def end(code: int) -> None:
    """End this process as Python does, but for taking down each module: of all that are imported, that takes 0.4 s."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3])
    else:
        sys.exit(ask(*sys.argv[2:]))
