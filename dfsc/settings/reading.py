"""The whole configuration: read and laid over each other as Snakemake does, written in one form, and checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfsc.errors import UserError
from dfsc.files import reading
from dfsc.settings.agreement import disagreements
from dfsc.settings.building import build, in_one_form
from dfsc.settings.configuration import Configuration

CONFIGFILE = Path("config/config.yaml")


def check(config: Mapping[str, Any]) -> None:
    """Check a configuration. Raises UserError naming the first key at fault, its value and what is allowed."""
    _refuse_keys_that_are_no_text(config, "")
    build(Configuration, config, "config")
    for fault in disagreements(normalised(config)):
        raise UserError(f"config: {fault}")


def _refuse_keys_that_are_no_text(values: Any, where: str) -> None:
    """As YAML's 1, `yes` and `null`: written as JSON, for the checks, they would pass for text."""
    of_keys = isinstance(values, Mapping)
    for key, value in values.items() if of_keys else enumerate(values):
        if of_keys and not isinstance(key, str):
            advice = "name it otherwise, or quote it"
            raise UserError(f"config: {where or 'top level'}: YAML reads a key there as {key}, no text; {advice}")
        if isinstance(value, Mapping | list):
            _refuse_keys_that_are_no_text(value, f"{where}.{key}".lstrip("."))


def normalised(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with equal values in one form: numbers that YAML takes for text, paths with `~` or variables.

    Without pydantic, since every job of a cluster does it; what is of a wrong type stays as it is, for `check`.
    """
    return dict(in_one_form(config, Configuration))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises UserError as `reading` does, and naming a key that a mapping holds twice.

    YAML itself would take the last, without a word.
    """
    import yaml

    with reading(path, "a configuration"):
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        top = loader.get_single_node()
        _refuse_repeated_keys(path, top)
        return None if top is None else loader.construct_document(top)


def _refuse_repeated_keys(path: Path, top: Any) -> None:
    import yaml

    waiting = [top]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if repeated := next((key for key in keys if keys.count(key) > 1), None):
                lines = [str(key.start_mark.line + 1) for key, _ in node.value if key.value == repeated]
                raise UserError(f"{path}: has the key `{repeated}` on lines {' and '.join(lines)}; remove one of them")
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def read_configuration(overlays: Sequence[Path]) -> dict[str, Any]:
    """config/config.yaml with `overlays` laid over it in their order, as Snakemake's --configfile does; checked.

    Raises UserError naming the file that cannot be read, or the key at fault.
    """
    merged: dict[str, Any] = {}
    for path in (CONFIGFILE, *overlays):
        values = read_yaml(path)
        if not isinstance(values, Mapping):
            raise UserError(f"{path}: is no configuration, which has keys at its top level")
        merged = laid_over(merged, values)
    check(merged)
    return normalised(merged)


def laid_over(below: Any, above: Mapping[str, Any]) -> Any:
    """Both mappings in one, nested ones too; `above` wins. Equals Snakemake's `update_config`."""
    if not above:
        return below
    merged = dict(below) if isinstance(below, Mapping) else {}
    for key, value in above.items():
        merged[key] = laid_over(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged
