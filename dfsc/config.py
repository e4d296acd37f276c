"""The grid that a configuration asks for, the names of its methods, and the settings that each stage depends on.

A stage gets its own settings and no others, so that a change of one key reruns only what depends on it. What may stand
in a configuration is described in `dfsc.settings`, and checked by `dfsc.settings.reading`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dfsc.errors import UserError

BASELINE = "efficientad"
GRID_KEYS = ("quantiles", "headline_quantile", "ablations")  # of `dfsc`: which models there are, not what shapes one


def methods(config: Mapping[str, Any]) -> list[str]:
    """The baseline, then one DFSC per quantile and per ablation: names as in paths, for example 'dfsc-q0.95'."""
    return [BASELINE, *dfsc_options(config)]


def headline_method(config: Mapping[str, Any]) -> str:
    """The DFSC that the config declares before the run to be the one that is compared with the baseline."""
    return dfsc_method(config["dfsc"]["headline_quantile"])


def dfsc_method(quantile: float) -> str:
    """The name of DFSC at a quantile."""
    return f"dfsc-q{_in_name(quantile)}"


def quantile_of(method: str) -> float | None:
    """The quantile of a DFSC method's name, an ablation's included; None for the baseline, which has none.

    Raises UserError for what is no method's name.
    """
    if method == BASELINE:
        return None
    prefix, _, rest = method.partition("-q")
    try:
        quantile = float(rest.partition("-")[0])
    except ValueError:
        quantile = 0.0
    if prefix != "dfsc" or not 0 < quantile < 1:
        raise UserError(f"{method}: is no method; methods are {BASELINE} and dfsc-q<quantile>, for example dfsc-q0.99")
    return quantile


def ablation_of(method: str) -> str:
    """What an ablation's name says it changes, for example 'margin_0.5'; empty for every other method."""
    return "" if method == BASELINE else method.removeprefix("dfsc-q").partition("-")[2]


def display_name(method: str) -> str:
    """'efficientad', 'dfsc-q0.95' and 'dfsc-q0.95-margin_0.5' as papers print them."""
    quantile, changed = quantile_of(method), ablation_of(method)
    if quantile is None:
        return "EfficientAD"
    return f"DFSC τ'={quantile:g}" + (f", {changed.replace('_', ' ').replace('-', ', ')}" if changed else "")


def _in_name(value: Any) -> str:
    # Never as 1e-05, whose minus sign would end the part of the name.
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def dfsc_options(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """DFSC method -> its fields of `dfsc.settings.training.DfscSettings`."""
    section = config["dfsc"]
    shared = {key: value for key, value in section.items() if key not in GRID_KEYS}
    options = {dfsc_method(quantile): {**shared, "quantile": quantile} for quantile in section["quantiles"]}
    for changed in section["ablations"]:
        method = "-".join([headline_method(config), *(f"{key}_{_in_name(value)}" for key, value in changed.items())])
        options[method] = {**shared, **changed, "quantile": section["headline_quantile"]}
    return options


def teacher_settings(config: Mapping[str, Any], size: str) -> dict[str, Any]:
    """What shapes a teacher, as the fields of `dfsc.settings.teacher.TeacherSettings`."""
    settings = {key: value for key, value in config["teacher"].items() if key != "published"}
    return {**settings, "size": size, "image_size": config["training"]["image_size"]}


def training_settings(config: Mapping[str, Any], size: str, method: str, seed: int) -> dict[str, Any]:
    """What shapes one model, as the fields of `dfsc.settings.training.TrainingSettings`."""
    shared = {key: value for key, value in config["training"].items() if key not in ("sizes", "seeds")}
    dfsc = None if method == BASELINE else dfsc_options(config)[method]
    return {**shared, "size": size, "seed": int(seed), "dfsc": dfsc}
