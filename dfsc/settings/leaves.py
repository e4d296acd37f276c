"""The kinds of leaves that several stages share, and how strictly all of them are read."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf


@dataclass(frozen=True)
class Pattern:
    """Text that a regular expression describes as a whole."""

    expression: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Called by pydantic, which this module does not import."""
        return {**handler(source), "pattern": self.expression}


class Leaves:
    """A group of leaves: no other key is accepted, and no value of another type, NaN or infinity."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


class Expanded:
    """Marks a path, in which `~` and environment variables are written out when the configuration is read."""


Size = Literal["S", "M", "tiny"]  # keys of dfsc.model.networks.SIZES
DeviceName = Literal["auto", "cpu", "cuda"]
TrainingPrecision = Literal["float32", "tf32", "bfloat16"]  # on CUDA; a CPU always computes in float32
PretrainingSource = Literal["imagenet", "imagenette", "generated", "other"]
Precision = Literal[TrainingPrecision, "float16"]  # in which a gradient would vanish
ImageSize = Annotated[int, Ge(64), MultipleOf(32)]  # pixels, of a square
Count = Annotated[int, Ge(1)]
MaskThreshold = Annotated[int, Ge(1), Le(65535)]  # of 8-bit or 16-bit grey values
Seed = Annotated[int, Ge(0), Lt(2**32)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Quantile = Annotated[float, Gt(0), Lt(1)]
Name = Annotated[str, Pattern("^[A-Za-z0-9_]+$")]  # part of file names and of Snakemake's wildcards
Label = Annotated[str, Pattern(r"^[A-Za-z0-9][A-Za-z0-9 .,'+()/-]{0,39}$")]  # shown in tables and figures
FilePath = Annotated[str, Pattern(r"^[^\x00-\x1f\x7f]+$"), Expanded()]
