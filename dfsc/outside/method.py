"""A method's command, run for one cell: blinded images in, checked maps under their own names out."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfsc.errors import RunFailed, UserError
from dfsc.files import digest_of
from dfsc.outside.blinding import SPLITS, neutral_names
from dfsc.outside.cells import OutsideFiles, listed_test_images, measured, write_cell
from dfsc.outside.command import folder_digest, run_command
from dfsc.outside.output import Output, read_output
from dfsc.provenance import code_digest
from dfsc.settings.grid import NO_SEED

EARLIER = 0.95  # share of the run time after which a command is stopped: before Slurm ends the whole job


def run_method(
    command: Path, images: Path, manifest: Path, seed: str, minutes: float, gpus: int, files: OutsideFiles
) -> None:
    """Run a method's command on the images that `write_blinded` wrote, and keep its maps as ours are kept.

    `manifest` lists the test images; it is the key to their neutral names. `seed`: NO_SEED is passed on as 0. `gpus`: 0
    for a run on the CPU. Raises as `output_of` does.
    """
    records = listed_test_images(manifest)
    names = neutral_names(records, "test")
    device, hardware, environment = _device(gpus)
    seconds = 60 * minutes * EARLIER
    with measured() as cost:
        work = files.maps.with_name(".run_method")
        output = output_of(command, images, list(names.values()), seed, device, seconds, work, environment)
    cost["gpu_seconds"] = cost["seconds"] if device == "cuda" else 0.0
    maps = {path: output.maps[name] for path, name in names.items()}
    scores = None if output.scores is None else {path: output.scores[name] for path, name in names.items()}
    code = digest_of([folder_digest(command), code_digest("method run")])
    made = {"origin": "command", "command": str(command), "code": code, "hardware": hardware}
    write_cell(files, records, maps, scores, seed, made | cost)


def output_of(
    command: Path,
    images: Path,
    names: list[str],
    seed: str,
    device: str,
    seconds: float,
    work: Path,
    environment: dict[str, str] | None = None,
) -> Output:
    """What a command makes of the folders train, validation and test in `images`; `names`: of the test images.

    It runs in the folder `work`, which is gone afterwards. Raises RunFailed as `run_command` does, and naming the file
    of its output that `read_output` refuses.
    """
    folders = [part for split in SPLITS for part in (f"--{split}", images.absolute() / split)]
    with _emptied(work) as (output, here):
        run = [command.absolute(), *folders, "--seed", 0 if seed == NO_SEED else seed, "--device", device]
        run_command([*run, "--output", output], here, seconds, {**(environment or {}), "TMPDIR": str(here)})
        try:
            return read_output(output, names)
        except UserError as fault:
            raise RunFailed(f"{command}: {fault}") from fault


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
def _emptied(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The folders `output` and `work` in `folder`, both empty; gone afterwards, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    inner = folder.absolute() / "output", folder.absolute() / "work"
    try:
        for one in inner:
            one.mkdir(parents=True)
        yield inner
    finally:
        shutil.rmtree(folder, ignore_errors=True)
