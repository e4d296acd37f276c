"""A method's command, run for one cell: blinded images in, checked maps under their own names out."""

import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dfsc.data.layout import FileRecord, read_manifest
from dfsc.errors import RunFailed, UserError
from dfsc.files import digest_of
from dfsc.outside.blinding import SPLITS, neutral_names, write_blinded
from dfsc.outside.cells import OutsideFiles, measured, write_cell
from dfsc.outside.command import folder_digest, require_executable, run_command
from dfsc.outside.output import Output, read_output
from dfsc.provenance import code_digest
from dfsc.settings.grid import NO_SEED

EARLIER = 0.95  # share of the run time after which a command is stopped: before Slurm ends the whole job
ALLOWED = (
    f", {100 * EARLIER:.0f} % of its `runtime`, so that Slurm does not end the whole job; it needs a longer `runtime`"
)


def run_method(
    command: Path, folder: Path, manifests: Sequence[Path], seed: str, minutes: float, gpus: int, files: OutsideFiles
) -> None:
    """Run a method's command on a category's images under neutral names, and keep its maps as ours are kept.

    `folder`: the category's. `manifests`: of its training and its test images. `seed`: NO_SEED is passed on as 0.
    `gpus`: 0 for a run on the CPU. Raises as `output_of` does, and RunFailed if the method's code changes meanwhile.
    """
    code = folder_digest(command)
    records = [record for manifest in manifests for record in read_manifest(manifest)]
    device, hardware, environment = _device(gpus)
    work = files.maps.with_name(".run_method")
    with measured() as cost:
        output = output_of(
            command, folder, records, seed, device, 60 * minutes * EARLIER, work, environment, allowed=ALLOWED
        )
    if folder_digest(command) != code:  # nobody knows which of both has made the maps
        advice = "run it again, and keep what it writes itself elsewhere"
        raise RunFailed(f"{command.parent}: the method's code changed while it ran; {advice}")
    cost["gpu_seconds"] = cost["seconds"] if device == "cuda" else 0.0
    made = {"origin": "command", "command": str(command), "hardware": hardware}
    made["code"] = digest_of([code, code_digest("method run")])
    write_cell(files, records, output.maps, output.scores, seed, made | cost)


def output_of(
    command: Path,
    folder: Path,
    records: Sequence[FileRecord],
    seed: str,
    device: str,
    seconds: float,
    work: Path,
    environment: Mapping[str, str] | None = None,
    shuffle: int = 0,
    allowed: str = "",
) -> Output:
    """What a command makes of the images `records` of a category's `folder`: by their own paths, not the neutral names.

    Of test images; and of validation images, if it writes maps or scores of these, too.

    It runs in the folder `work`, which is gone afterwards, and with it the key to the names. Raises UserError if the
    command is no executable file, if another one still runs in `work`, or as `write_blinded`; RunFailed as
    `run_command` does, and naming the file of the command's output that `read_output` refuses.
    """
    require_executable(command)
    names, more = neutral_names(records, "test", shuffle), neutral_names(records, "validation")
    with _locked(work.parent) as lock, _emptied(work) as (images, output, here):
        write_blinded(folder, records, images, shuffle)
        folders = [part for split in SPLITS for part in (f"--{split}", images / split)]
        run = [command.absolute(), *folders, "--seed", 0 if seed == NO_SEED else seed, "--device", device]
        variables = {**(environment or {}), "TMPDIR": str(here)}
        run_command([*run, "--output", output], here, seconds, variables, allowed=allowed, lock=[lock])
        try:
            found = read_output(output, list(names.values()), list(more.values()))
        except UserError as fault:
            raise RunFailed(f"{command}: {fault}") from fault
    paths = {name: path for path, name in {**more, **names}.items()}
    maps = {path: found.maps[name] for name, path in paths.items() if name in found.maps}
    if found.scores is None:
        return Output(maps, None)
    return Output(maps, {path: found.scores[name] for name, path in paths.items() if name in found.scores})


def _device(gpus: int) -> tuple[str, str, dict[str, str]]:
    """'cuda' or 'cpu', the hardware's name, and the environment in which a command sees its GPUs alone."""
    if gpus == 0:
        return "cpu", "CPU", {"CUDA_VISIBLE_DEVICES": ""}
    from dfsc.training.device import choose_device, describe_device

    device = choose_device("auto", 1)
    if device.type == "cpu":
        return "cpu", "CPU", {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = visible.split(",")[device.index or 0] if visible else str(device.index or 0)
    return "cuda", describe_device(device), {"CUDA_VISIBLE_DEVICES": chosen} if gpus == 1 else {}


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Lock a folder; the open file that holds the lock. Raises UserError if another process holds it.

    A command that inherits it holds it too: one that outlives us, when we are killed, still writes into the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            advice = f"wait for its end, or end it; `pgrep -fa {shlex.quote(f'{folder}/')}` shows it"
            raise UserError(f"{folder}: another process still runs a method in this folder; {advice}") from error
        except OSError:
            pass  # a file system without locks, where all goes as before
        yield lock
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # of what the command has left behind, too
        os.close(lock)


@contextmanager
def _emptied(folder: Path) -> Iterator[tuple[Path, ...]]:
    """The folders `images`, `output` and `work` in `folder`, all empty; gone afterwards, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    inner = tuple(folder.absolute() / name for name in ("images", "output", "work"))
    try:
        for one in inner:
            one.mkdir(parents=True)
        yield inner
    finally:
        shutil.rmtree(folder, ignore_errors=True)
