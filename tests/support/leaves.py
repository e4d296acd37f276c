"""Every leaf of a description in `dfsc.settings`, and another value of it that is allowed."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dfsc.errors import UserError
from dfsc.settings.building import bare


def leaves(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf's dotted name and bare hint, nested groups included."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint, name = bare(hints[field.name]), f"{prefix}{field.name}"
        yield from leaves(hint, f"{name}.") if isinstance(hint, type) and is_dataclass(hint) else [(name, hint)]


def value_at(values: Any, name: str) -> Any:
    """The leaf's value; None where a group above it, or the leaf, is left out."""
    for key in name.split("."):
        values = None if values is None else values.get(key)
    return values


def with_value(values: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy with one leaf changed."""
    key, _, rest = name.partition(".")
    return {**values, key: with_value(values.get(key, {}), rest, value) if rest else value}


def another(values: dict[str, Any], name: str, hint: Any, check: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Settings in which one leaf alone is changed, to the first other value that `check` accepts."""
    for candidate in _candidates(value_at(values, name), hint):
        changed = with_value(values, name, candidate)
        try:
            check(changed)
        except UserError:
            continue
        return changed
    raise AssertionError(f"{name}: no other value is allowed beside the other leaves")


def _candidates(value: Any, hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return [option for option in get_args(hint) if option != value]
    if isinstance(value, bool):
        return [not value]
    if value is None and hint is int:
        return [1]
    if isinstance(value, int | float):
        return [value / 2, (value + 1) / 2, value + 1, value + 32]
    if isinstance(value, str):
        return [f"{value}2"]
    if isinstance(value, list) and value:
        others = _candidates(value[0], bare(get_args(hint)[0]))
        return [[other] for other in others] + [[*value, other] for other in others]
    return []
