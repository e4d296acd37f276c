"""Which of the listed sources (config/sources.yaml) a configuration asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfsc.model.packaged_weights import PACKAGED
from dfsc.settings.teacher import FETCH, PUBLISHED_SOURCES

SOURCES = Path("config/sources.yaml")
IMAGES = ("mvtec_loco", "imagenette")  # sets of images that are listed; any other is generated, or the user's own


def fetches_backbone(config: Mapping[str, Any]) -> bool:
    """Whether the backbone's weights are a listed source, of the backbone's name: no package has them."""
    teacher = config["teacher"]
    return teacher["backbone_weights"] == "imagenet" and teacher["backbone"] not in PACKAGED


def fetched_teachers(config: Mapping[str, Any]) -> dict[str, str]:
    """Network size -> the source of its published teacher, where it is to be fetched."""
    published = config["teacher"]["published"]
    return {size: PUBLISHED_SOURCES[size] for size, file in published.items() if file == FETCH}


def pretrained_sizes(config: Mapping[str, Any]) -> list[str]:
    """The network sizes whose teacher is pretrained here."""
    return [size for size in config["training"]["sizes"] if size not in config["teacher"]["published"]]


def fetched_images(config: Mapping[str, Any]) -> dict[str, str]:
    """Key of the configuration -> the source of its images, where it is a listed one."""
    asked = {"dataset.source": config["dataset"]["source"]}
    asked |= {f"{key}.images": section["images"] for key, section in penalty_sections(config).items()}
    return {key: source for key, source in asked.items() if source in IMAGES}


def penalty_sections(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Key -> the section of each set of pretraining or penalty images: its source, and its folder."""
    other = (config.get("protocols") or {}).get("other_penalty")
    return {"pretraining": config["pretraining"], **({"protocols.other_penalty": other} if other else {})}
