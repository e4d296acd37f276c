"""What a benchmark needs of machines: a GPU, disk, the tracking store, and Slurm as a profile asks for it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dfsc.cluster.slurm import check_accepted, check_reachable
from dfsc.data.download import nearest_folder, require_space
from dfsc.errors import UserError, listed
from dfsc.files import reading
from dfsc.planning.disk import artifact_folder, checkpoint_bytes, filled_by, missing_cells
from dfsc.planning.findings import Brought, Finding, found
from dfsc.report.store import LATER, database_of, is_writable, masked, tracking_client
from dfsc.settings.leaves import DeviceName

ASKED_OF_SLURM = {  # by a training: resource in a profile -> option of sbatch's
    "slurm_account": "--account",
    "slurm_partition": "--partition",
    "gpu": "--gpus",
    "gres": "--gres",
    "mem_mb": "--mem",
    "runtime": "--time",
}


def read_profile(profile: Path | None) -> dict[str, Any]:
    """A profile of Snakemake's: the file config.yaml of a folder. Raises UserError naming it."""
    if profile is None:
        return {}
    import yaml

    path = profile / "config.yaml"
    with reading(path, "a profile of Snakemake"):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dict(values)


def machine_findings(
    config: Mapping[str, Any], profile: Mapping[str, Any], device: DeviceName, to_fetch: Mapping[Path, int]
) -> Iterator[Finding]:
    """Of what machines give. `to_fetch`: place -> bytes that are fetched to it."""
    if profile.get("executor") == "slurm":
        yield found("Slurm", partial(slurm_found, profile))
    elif device != "cpu":
        yield found("GPU", _gpu)
    for needed in _by_disk({**to_fetch, **results_needed(config)}):
        yield found("disk", partial(_disk, needed))
    yield found("tracking", partial(store_found, config["tracking"]["uri"]))


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "torch sees no GPU here; see whether `nvidia-smi` does, or on a cluster's login node give --profile slurm; "
            "to train on a CPU, see how long it takes with `dfsc estimate`, and give --device cpu"
        )
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def slurm_found(profile: Mapping[str, Any]) -> str:
    """What Slurm says of a training as the profile asks for it. Raises UserError if it does not answer, or refuses."""
    check_reachable()
    options = sbatch_options(profile)
    check_accepted(*options)
    return f"takes trainings with {' '.join(options)}"


def sbatch_options(profile: Mapping[str, Any]) -> list[str]:
    """What a training asks of Slurm, as far as mappings in the profile say it: options of sbatch's."""
    of_all, of_training = _mapping(profile, "default-resources"), _mapping(profile, "set-resources", "train")
    asked = {name: str(value).strip("'") for name, value in {**of_all, **of_training}.items() if value}
    threads = _mapping(profile, "set-threads").get("train", 1)
    options = [f"{option}={asked[name]}" for name, option in ASKED_OF_SLURM.items() if name in asked]
    return [*options, f"--cpus-per-task={threads}"]


def _mapping(profile: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """What stands below these keys; nothing, where it is absent or no mapping."""
    found: Any = profile
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def results_needed(config: Mapping[str, Any]) -> dict[Path, int]:
    """Where results go -> bytes that the models will fill that are not trained yet, and a checkpoint of each size."""
    results, store, image_size = 0, 0, config["training"]["image_size"]
    for size in config["training"]["sizes"]:
        filled, cells = filled_by(config, size), missing_cells(config, size)
        results += len(cells) * filled.results + (checkpoint_bytes(size, image_size) if cells else 0)
        store += len(cells) * filled.store
    place = artifact_folder(config)
    return {Path("results", config["benchmark"]): results} | ({place: store} if place else {})


def _by_disk(needed: Mapping[Path, int]) -> Iterator[dict[Path, int]]:
    """The places that lie on each disk, and the bytes that each needs."""
    disks: dict[int, dict[Path, int]] = {}
    for place, count in needed.items():
        disks.setdefault(nearest_folder(place).stat().st_dev, {})[place] = count
    yield from disks.values()


def _disk(needed: Mapping[Path, int]) -> str:
    first = next(iter(needed))
    require_space(first, sum(needed.values()))
    names = listed([str(place) for place in needed])
    free = shutil.disk_usage(nearest_folder(first)).free
    return f"{names}: {sum(needed.values()) / 1e6:,.1f} MB needed, {free / 1e6:,.1f} MB free"


def store_found(uri: str) -> str:
    """What is there of a tracking store. Raises UserError, without passwords, if it cannot be used for tracking."""
    database = database_of(uri)
    if database is not None and not database.exists():
        if not os.access(nearest_folder(database), os.W_OK):
            raise UserError(f"tracking store {uri}: {database.parent} cannot be written; name another tracking.uri")
        return Brought(f"{uri}: the workflow makes this store")
    if not is_writable(uri):
        raise UserError(f"tracking store {uri}: is read only; allow writing, or name another tracking.uri")
    try:
        with tracking_client(uri) as client:
            client.search_experiments(max_results=1)
    except UserError as fault:  # of which only the general one says no more than to run again later
        raise UserError(str(fault).replace(LATER, _remedy(uri))) from fault
    return f"{masked(uri)}: answers"


def _remedy(uri: str) -> str:
    if uri.startswith("http"):
        return (
            "see that the server runs (`make tracking-server`), and that MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD are right if it asks for them"
        )
    if database_of(uri) is None:
        return "see that the database runs, and that PGPASSFILE or PGPASSWORD has its password"
    return "to begin a new one, move it away; or name another tracking.uri"
