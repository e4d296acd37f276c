"""Which values of a configuration fit together: what each leaf's own description cannot say."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from dfsc.errors import UserError
from dfsc.files import expanded
from dfsc.settings.building import build
from dfsc.settings.grid import CONTROLS, Grid
from dfsc.settings.outside import METHOD_NAME
from dfsc.settings.own_images import OwnImages
from dfsc.settings.synthetic import CATEGORIES, PRETRAINING
from dfsc.settings.training import DfscSettings

UNPACKED = ("mvtec_ad", "mvtec_ad_2", "visa", "btad")  # public data sets in a layout of their own
ARRANGED = ("images", *UNPACKED)  # in LOCO's layout, before anything reads them
LISTS = (("dataset", "categories"), ("training", "sizes"), ("training", "seeds"), ("dfsc", "quantiles"))
PASSWORD = re.compile(r"https?://[^/]*@|postgresql[^:]*://([^@]*:[^@]*@|.*[?&][a-z_]*pass[a-z]*=)", re.IGNORECASE)


def disagreements(config: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit, one line each, which names the keys; `config` is one whose leaves are checked one by one."""
    yield from _repeated(config)
    yield from _protocols(config)
    yield from _methods(config)
    yield from _outside(config)
    yield from _images(config)
    yield from _teacher(config)
    yield from _paths_and_address(config)


def _repeated(config: Mapping[str, Any]) -> Iterator[str]:
    for section, key in LISTS:
        entries = config[section][key]
        for entry in entries:
            if entries.count(entry) > 1:
                yield f"{section}.{key}: {entry!r} is listed {entries.count(entry)} times; once is enough"


def _methods(config: Mapping[str, Any]) -> Iterator[str]:
    section = config["dfsc"]
    if section["headline_quantile"] not in section["quantiles"]:
        listed = ", ".join(map(str, section["quantiles"]))
        yield (
            f"dfsc.headline_quantile: {section['headline_quantile']} is none of dfsc.quantiles ({listed}); "
            "declare one of them"
        )
        return
    grid = Grid.from_config(config)
    of_one_size = [method for method in grid.methods if method.size == grid.methods[0].size and not method.protocol]
    first = len(of_one_size) - len(section["ablations"])
    for number, method in enumerate(of_one_size[first:]):
        where = f"dfsc.ablations.{number}"
        try:
            build(DfscSettings, method.dfsc, where)
        except UserError as fault:
            yield str(fault)
            return
        twins = [place for place, other in enumerate(of_one_size[: first + number]) if other.dfsc == method.dfsc]
        if twins:
            other = of_one_size[twins[0]].name if twins[0] < first else f"dfsc.ablations.{twins[0] - first}"
            yield f"{where}: is the same model as {other}; leave it out, or change another key"
            return
    for method, twin in combinations(grid.methods, 2):
        if method.label == twin.label:
            names = f"{method.name} and {twin.name} are both shown as {method.label}"
            if method.is_outside or twin.is_outside:
                yield f"methods: {names}; give another label"
            else:
                yield f"dfsc: {names}; give values of at most 6 digits"


def _outside(config: Mapping[str, Any]) -> Iterator[str]:
    methods, baselines = config.get("methods", {}), [f"efficientad-{size}" for size in config["training"]["sizes"]]
    for name, section in methods.items():
        where, maps = f"methods.{name}", section.get("maps")
        if (section.get("command") is None) == (maps is None):
            yield f"{where}: needs either `command` or `maps`"
        if maps is not None:
            yield from _maps(f"{where}.maps", maps, len(config["dataset"]["categories"]))
            if section.get("seeds") is not None:
                yield f"{where}.seeds: is for a `command`; write {{seed}} into `maps`, or leave both out"
        if (baseline := section.get("pairs_with")) not in (None, *baselines):
            yield f"{where}.pairs_with: {baseline} is no baseline; there are {', '.join(baselines)}"
        if fault := fault_of_name(name):
            yield f"{where}: {fault}"
    for control in config.get("controls", []):
        if config["controls"].count(control) > 1:
            yield f"controls: {control!r} is listed {config['controls'].count(control)} times; once is enough"


def fault_of_name(name: str) -> str:
    """Why a method from outside cannot have this name; empty if it can."""
    import yaml

    if not re.fullmatch(METHOD_NAME, name):
        return "a method's name consists of at most 40 letters, digits and _, and begins with a letter or digit"
    if name in CONTROLS:
        return "is the name of a control; choose another"
    # Refused in quotes too: who writes it elsewhere without them gets another name.
    return "" if yaml.safe_load(name) == name else "YAML reads this name as no text; choose another"


def _maps(where: str, pattern: str, categories: int) -> Iterator[str]:
    names = re.findall(r"\{([^}]*)\}", pattern)
    if unknown := [name for name in names if name not in ("category", "seed")]:
        yield f"{where}: {{{unknown[0]}}} stands for nothing; there are {{category}} and {{seed}}"
    if categories > 1 and "category" not in names:
        yield f"{where}: must contain {{category}}, since there are {categories} categories"


def _protocols(config: Mapping[str, Any]) -> Iterator[str]:
    section = config.get("protocols") or {}
    paddings = section.get("paddings", [])
    for padding in paddings:
        if padding == config["inference"]["padding"]:
            yield f"protocols.paddings: {padding} is inference.padding itself, and no deviation; leave it out"
        if paddings.count(padding) > 1:
            yield f"protocols.paddings: {padding!r} is listed {paddings.count(padding)} times; once is enough"
    other = section.get("other_penalty") or {}
    if {"first": None, **other} == {"first": None, **config["pretraining"]}:
        yield "protocols.other_penalty: are the images of `pretraining`, and no deviation; name others"
    if other.get("images") == "generated":
        yield from _generated(config, "protocols.other_penalty", other["folder"])
    if section.get("checkpoints", 0) > config["training"]["steps"]:
        yield f"protocols.checkpoints: {section['checkpoints']} are more than training.steps; choose fewer"


def _images(config: Mapping[str, Any]) -> Iterator[str]:
    dataset, pretraining = config["dataset"], config["pretraining"]
    source = dataset["source"]
    needed = {"generated": "generated", "images": "images", **dict.fromkeys(UNPACKED, "original")}
    if source in needed and dataset.get(needed[source]) is None:
        yield f"dataset.{needed[source]}: is missing; dataset.source {source} needs it"
    if source not in ARRANGED and dataset.get("mask_threshold") is not None:
        yield f"dataset.mask_threshold: is of dataset.source {', '.join(ARRANGED)} alone; leave it out"
    if source == "images" and (unknown := [name for name in dataset["categories"] if name not in dataset["images"]]):
        yield f"dataset.images: has no {unknown[0]}, which dataset.categories lists"
    if dataset["split"]["validation"] + dataset["split"]["test"] >= 1:
        yield "dataset.split: validation and test take all good images; leave a share for training"
    if dataset["source"] == "generated":
        for category in dataset["categories"]:
            if category not in CATEGORIES:
                yield f"dataset.categories: {category} is not among the generated ones ({', '.join(CATEGORIES)})"
    if pretraining["images"] == "generated":
        yield from _generated(config, "pretraining", pretraining["folder"])


def _generated(config: Mapping[str, Any], where: str, named: str) -> Iterator[str]:
    if config["dataset"]["source"] != "generated":
        yield f"{where}.images: generated needs dataset.source generated, which draws them"
    folder = Path(config["dataset"]["folder"], PRETRAINING)
    if Path(named) != folder:
        yield f"{where}.folder: generated images lie in {folder}, below dataset.folder; name that folder"


def _teacher(config: Mapping[str, Any]) -> Iterator[str]:
    teacher, sizes = config["teacher"], config["training"]["sizes"]
    for size in teacher.get("published", {}):
        if size not in sizes:
            yield f"teacher.published.{size}: training.sizes ({', '.join(sizes)}) does not ask for size {size}"


def _paths_and_address(config: Mapping[str, Any]) -> Iterator[str]:
    dataset, published = config["dataset"], config["teacher"].get("published", {})
    paths = {"dataset.folder": dataset["folder"], "dataset.original": dataset.get("original")}
    paths |= {"pretraining.folder": config["pretraining"]["folder"]}
    paths |= {
        "protocols.other_penalty.folder": ((config.get("protocols") or {}).get("other_penalty") or {}).get("folder")
    }
    for name, section in config.get("methods", {}).items():
        paths |= {f"methods.{name}.{key}": section.get(key) for key in ("command", "maps")}
    paths |= {f"teacher.published.{size}": path for size, path in published.items()}
    for category, images in (dataset.get("images") or {}).items():
        folders = build(OwnImages, images).folders
        paths |= {f"dataset.images.{category}.{name}": folder for name, folder in folders.items()}
    for key, path in paths.items():
        try:
            expanded(path or "", key)  # what is known was written out when the configuration was read
        except UserError as fault:
            yield str(fault)
    uri = config["tracking"]["uri"]
    if re.match(r"sqlite:.*(\$|/~)", uri):
        yield f"tracking.uri: {uri}: an address takes no ~ and no variables; write the path out"
    if PASSWORD.match(uri):
        yield (
            "tracking.uri: holds a password, which logs and records would show; leave it out, and put it into "
            "the environment: PGPASSFILE or PGPASSWORD for PostgreSQL, MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD for a server"
        )
