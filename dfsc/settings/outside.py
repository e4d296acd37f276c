"""Methods from outside: a command that is run, or anomaly maps made elsewhere."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from dfsc.settings.leaves import Count, FilePath, Label, Leaves, Pattern

METHOD_NAME = "^[A-Za-z0-9][A-Za-z0-9_]{0,39}$"  # part of paths and of wildcards, and a label without its _
MethodName = Annotated[str, Pattern(METHOD_NAME)]


@dataclass(frozen=True)
class OutsideMethod(Leaves):
    """Where a method's maps come from, and what its command needs; a profile can change what it needs."""

    label: Label  # as tables show it
    command: FilePath | None = None  # an executable; its folder holds the method's code and nothing else
    maps: FilePath | None = None  # the folder that holds `test`; {category} and {seed} stand for a cell's
    seeds: bool | None = None  # of a command: whether it is run once per seed; without, it is
    pairs_with: str | None = None  # the baseline that it is compared with; without, the first
    gpu: Annotated[int, Ge(0)] = 0  # GPUs of a run
    mem_mb: Count = 8000  # memory of a run
    runtime: Count = 60  # minutes, after which a run is stopped
