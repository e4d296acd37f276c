"""EfficientAD teachers published elsewhere, taken over instead of pretraining one: by choice, and shown in results."""

import re
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfsc.errors import UserError
from dfsc.files import sha256_of, write_json
from dfsc.model.networks import SIZES, pdn
from dfsc.model.saved import save_tensors

# Digests as recorded by pointers in public repositories.
KNOWN = {
    "b98a6a139087a0d743783ee59f367f0284af6003eb1a5fed0ce92bd9c0acd337": "nelson1425/EfficientAD teacher_small.pth",
    "a66e1513cbc252e7907531ef4536155e338a48e8edf3a5e6a66498f661414b9c": "nelson1425/EfficientAD teacher_medium.pth",
    "c09aeaa2b33f244b3261a5efdaeae8f8284a949470a4c5a526c61275fe62684a": "anomalib's zip of both teachers",
}
NAMES_IN_ZIP = {"S": "small", "M": "medium"}


def import_teacher(path: Path, size: str, sha256: str | None) -> tuple[dict[str, Any], str]:
    """A published teacher as those pretrained here are saved, and a description of where it is from.

    `path`: a state dict whose layers come in the network's order, whatever their names, or a zip with
    `*small*.pth` and `*medium*.pth`. A file whose digest is not known must be vouched for with `sha256`.
    Raises UserError naming the file: missing, another digest, another architecture, or pickled code.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of teacher weights")
    digest, sha256 = sha256_of(path), sha256 and sha256.lower()
    if digest != sha256 and (sha256 is not None or digest not in KNOWN):
        raise UserError(
            f"{path}: its SHA-256 is {digest}, "
            + (f"not {sha256}" if sha256 else "none of the known teachers'; if you trust the file, pass it as --sha256")
        )
    network = pdn(SIZES[size], SIZES[size].output)
    found, expected = _in_order(_read(path, size)), network.state_dict()
    if [tuple(value.shape) for value in found] != [tuple(value.shape) for value in expected.values()]:
        raise UserError(f"{path}: its weights do not fit a teacher of size {size}")
    weights = dict(zip(expected, (value.float() for value in found), strict=True))
    return {"size": size, "weights": weights}, f"{KNOWN.get(digest, path.name)} (sha256 {digest})"


def run_import(file: Path, size: str, sha256: str | None, output: Path, record: Path) -> None:
    """Take over a published teacher; write it to `output`, and where it is from to `record`."""
    state, origin = import_teacher(file, size, sha256)
    save_tensors(output, state)
    write_json(record, {"teacher": f"published: {origin}", "digest": sha256_of(output)})


def _read(path: Path, size: str) -> dict[str, Tensor]:
    try:
        with _opened(path, size) as stream:
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise UserError(f"{path}: is no state dict that can be loaded safely ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: is no state dict of tensors")
    return state


def _opened(path: Path, size: str) -> Any:
    # A .pth file is itself a zip, but holds no .pth.
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        members = [name for name in archive.namelist() if name.endswith(".pth")]
        if members:
            wanted = [name for name in members if NAMES_IN_ZIP.get(size, "") in Path(name).name]
            if len(wanted) != 1:
                raise UserError(f"{path}: holds {len(wanted)} teachers of size {size}: {', '.join(members)}")
            return archive.open(wanted[0])
    return nullcontext(path)


def _in_order(state: dict[str, Tensor]) -> list[Tensor]:
    def position(name: str) -> tuple[list[int], bool]:
        return [int(number) for number in re.findall(r"\d+", name)], name.endswith("bias")

    return [state[name] for name in sorted(state, key=position)]
