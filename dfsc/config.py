"""The configuration: checked against the closed schema, and cut into the settings that each stage depends on.

A stage gets its own settings and no others, so that a change of one key reruns only what depends on it.
"""

import json
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from dfsc.errors import UserError

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "config.schema.yaml"
BASELINE = "efficientad"
GRID_KEYS = ("quantiles", "headline_quantile", "ablations")  # of `dfsc`: which models there are, not what shapes one
Settings = TypeVar("Settings")


def check(config: Mapping[str, Any]) -> None:
    """Check a configuration against the schema. Raises UserError naming the first key at fault."""
    import jsonschema
    import yaml

    validator = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    for error in sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path))):
        key = ".".join(str(part) for part in error.path) or "top level"
        raise UserError(
            f"config: {key}: {error.message}; the keys and values allowed are in workflow/schemas/config.schema.yaml"
        )
    dfsc = config["dfsc"]
    if dfsc["quantiles"] and dfsc["headline_quantile"] not in dfsc["quantiles"]:
        raise UserError(
            f"config: dfsc.headline_quantile: {dfsc['headline_quantile']} is none of dfsc.quantiles "
            f"({', '.join(map(str, dfsc['quantiles']))}); declare one of them"
        )


def methods(config: Mapping[str, Any]) -> list[str]:
    """The baseline, then one DFSC per quantile and per ablation: names as in paths, for example 'dfsc-q0.95'."""
    return [BASELINE, *_dfsc_options(config)]


def headline_method(config: Mapping[str, Any]) -> str:
    """The DFSC that the config declares before the run to be the one that is compared with the baseline."""
    return dfsc_method(config["dfsc"]["headline_quantile"])


def dfsc_method(quantile: float) -> str:
    """The name of DFSC at a quantile."""
    return f"dfsc-q{quantile}"


def quantile_of(method: str) -> float | None:
    """The quantile of a DFSC method's name, an ablation's included; None for the baseline, which has none."""
    return None if method == BASELINE else float(method.removeprefix("dfsc-q").split("-")[0])


def ablation_of(method: str) -> str:
    """What an ablation's name says it changes, for example 'margin_0.5'; empty for every other method."""
    return "" if method == BASELINE else method.removeprefix("dfsc-q").partition("-")[2]


def display_name(method: str) -> str:
    """'efficientad', 'dfsc-q0.95' and 'dfsc-q0.95-margin_0.5' as papers print them."""
    quantile, changed = quantile_of(method), ablation_of(method)
    if quantile is None:
        return "EfficientAD"
    return f"DFSC τ'={quantile:g}" + (f", {changed.replace('_', ' ').replace('-', ', ')}" if changed else "")


def _dfsc_options(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """DFSC method -> its fields of `dfsc.losses.DfscSettings`."""
    section = config["dfsc"]
    shared = {key: value for key, value in section.items() if key not in GRID_KEYS}
    options = {dfsc_method(quantile): {**shared, "quantile": quantile} for quantile in section["quantiles"]}
    for changed in section["ablations"]:
        method = "-".join([headline_method(config), *(f"{key}_{value}" for key, value in changed.items())])
        options[method] = {**shared, **changed, "quantile": section["headline_quantile"]}
    return options


def teacher_settings(config: Mapping[str, Any], size: str) -> dict[str, Any]:
    """What shapes a teacher, as the fields of `dfsc.teacher.TeacherSettings`."""
    settings = {key: value for key, value in config["teacher"].items() if key != "published"}
    return {**settings, "size": size, "image_size": config["training"]["image_size"]}


def training_settings(config: Mapping[str, Any], size: str, method: str, seed: int) -> dict[str, Any]:
    """What shapes one model, as the fields of `dfsc.train.TrainingSettings`."""
    shared = {key: value for key, value in config["training"].items() if key not in ("sizes", "seeds")}
    dfsc = None if method == BASELINE else _dfsc_options(config)[method]
    return {**shared, "size": size, "seed": int(seed), "dfsc": dfsc}


def read_settings(text: str, kind: type[Settings]) -> Settings:
    """Settings of a stage from JSON text, or from a YAML or JSON file if `text` does not begin with a brace.

    Raises UserError naming an unknown or missing key, or a value of the wrong type.
    """
    if text.lstrip().startswith("{"):
        try:
            return build(kind, json.loads(text))
        except ValueError as error:
            raise UserError(f"--settings: is not JSON ({error})") from error
    import yaml

    try:
        return build(kind, yaml.safe_load(Path(text).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{text}: cannot be read as settings ({error})") from error


def build(kind: type[Settings], values: Any, where: str = "settings") -> Settings:
    """Build the dataclass `kind` from a mapping, nested dataclasses included. Raises UserError naming the key."""
    assert is_dataclass(kind)
    if not isinstance(values, dict):
        raise UserError(f"{where}: must be a mapping of keys to values")
    hints = get_type_hints(kind)
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if unknown := sorted(set(values) - set(hints)):
        raise UserError(f"{where}: unknown key `{unknown[0]}`; the keys are {', '.join(sorted(hints))}")
    if missing := sorted(required - set(values)):
        raise UserError(f"{where}: key `{missing[0]}` is missing")
    return kind(**{name: _value(value, hints[name], f"{where}.{name}") for name, value in values.items()})


def _value(value: Any, hint: Any, where: str) -> Any:
    options = get_args(hint)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint, options = options[0], ()
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    if options and value not in options:
        raise UserError(f"{where}: {value!r} is none of {', '.join(map(repr, options))}")
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)  # YAML takes 1e-5 for text
    if not options and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise UserError(f"{where}: {value!r} is no {hint.__name__}")
    return value
