"""Settings from what a user writes: put into one form, checked against their description, and built."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from dfsc.errors import UserError
from dfsc.files import reading
from dfsc.settings.leaves import Expanded

Settings = TypeVar("Settings")


def read_settings(text: str, kind: type[Settings]) -> Settings:
    """Settings of a stage from JSON text, or from a YAML or JSON file if `text` does not begin with a brace.

    Raises UserError as `build` does, and naming a file that cannot be read.
    """
    if text.lstrip().startswith("{"):
        with reading(Path("--settings"), "JSON"):
            values = json.loads(text)
        return build(kind, values, "--settings")
    import yaml

    with reading(Path(text), "settings"):
        values = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    return build(kind, values, text)


def build(kind: type[Settings], values: Any, where: str = "settings") -> Settings:
    """The dataclass `kind`, of `dfsc.settings`, from a mapping, nested dataclasses included.

    Raises UserError naming `where` and the first key at fault, its value and what is allowed.
    """
    import pydantic

    try:
        text = json.dumps(in_one_form(values, kind), default=lambda value: {type(value).__name__: str(value)})
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: keys must be text ({error})") from error
    try:
        # As JSON: from Python's own values, a strict check takes no mapping for a dataclass.
        return _adapter(kind).validate_json(text)  # type: ignore[no-any-return, arg-type]
    except pydantic.ValidationError as error:
        # A misspelt key before the one that is missing for it.
        faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != UNKNOWN)
        raise UserError(f"{where}: {_in_words(kind, faults[0])}") from error


UNKNOWN = "unexpected_keyword_argument"  # pydantic's names of faults, and ours
UNIONS = (UnionType, Union)  # `int | None`, and what Python before 3.14 makes of `Annotated[int, ...] | None`
WORDS = {
    "missing": "is missing",
    "too_short": "needs an entry",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dataclass_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
}


@lru_cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _in_words(kind: Any, fault: Mapping[str, Any]) -> str:
    place = [part for part in fault["loc"] if part != "[key]"]
    key = ".".join(map(str, place)) or "top level"
    if fault["type"] == "value_error":  # of several keys together, which it names
        return str(fault["ctx"]["error"])
    if fault["type"] == UNKNOWN:
        allowed = ", ".join(leaf.name for leaf in fields(_kind_at(kind, place[:-1])))
        return f"{key}: unknown key; the keys there are {allowed}"
    words = WORDS.get(fault["type"]) or " ".join(fault["msg"].replace("Input should", "must").split())
    words = words.replace("String should match pattern", "must match")
    value = repr(fault["input"])
    if fault["type"] in ("missing", "too_short") or "://" in value:  # an address may hold a password
        return f"{key}: {words}"
    return f"{key}: {value if len(value) <= 60 else value[:57] + '...'} {words}"


def _kind_at(kind: Any, place: Sequence[Any]) -> Any:
    for part in place:
        hint = get_type_hints(kind, include_extras=True)[part] if is_dataclass(kind) else get_args(kind)[-1]
        kind = bare(hint)
    return kind


def bare(hint: Any) -> Any:
    """A hint without what is annotated, and without None."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    if get_origin(hint) in UNIONS:
        return bare(next(option for option in get_args(hint) if option is not NoneType))
    return hint


def in_one_form(value: Any, hint: Any) -> Any:
    """`value` with every number that `hint` wants as a float, and every path written out; else as it is."""
    kind = bare(hint)
    if isinstance(value, Mapping):
        hints = get_type_hints(kind, include_extras=True) if is_dataclass(kind) else {}
        of_values = get_args(kind)[1] if get_origin(kind) is dict else Any
        return {key: in_one_form(item, hints.get(key, of_values)) for key, item in value.items()}
    if isinstance(value, list) and get_origin(kind) is list:
        return [in_one_form(item, get_args(kind)[0]) for item in value]
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            return float(value)  # YAML takes 1e-5 for text
    if isinstance(value, str) and value and _is_path(hint):
        return str(Path(os.path.expanduser(os.path.expandvars(value))))  # noqa: PTH111 (stops at an unknown user)
    return value


def _is_path(hint: Any) -> bool:
    if get_origin(hint) in UNIONS:
        return any(map(_is_path, get_args(hint)))
    return any(isinstance(mark, Expanded) for mark in getattr(hint, "__metadata__", ()))
