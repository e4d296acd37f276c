"""docs/licences.md speaks of everything that comes from others."""

import re

import pytest
import yaml

from dfsc.model.packaged_weights import PACKAGED
from support.checkout import CHECKOUT

PAGE = (CHECKOUT / "docs/licences.md").read_text()
DRAWING = "".join(path.read_text() for path in sorted((CHECKOUT / "dfsc/data/synthetic").glob("*.py")))
SOURCES = yaml.safe_load((CHECKOUT / "config/sources.yaml").read_text())["sources"]
SAID_OF = {  # each source of config/sources.yaml, by words of the page
    "mvtec_loco": "MVTec LOCO AD",
    "wide_resnet101_2": "WideResNet-101-2",
    "teacher_small": "teacher.published",
    "teacher_medium": "teacher.published",
    "imagenette": "Imagenette",
}


@pytest.mark.parametrize("name", sorted(set(re.findall(r'"(\w+\.(?:png|jpg))"', DRAWING))))
def test_every_photograph_has_its_line(name: str) -> None:
    assert re.search(rf"^\| [^|]*\b{re.escape(name)}[^|]* \| .{{8,}} \|$", PAGE, re.MULTILINE)


def test_what_is_fetched_or_packaged_is_spoken_of() -> None:
    assert SAID_OF.keys() == SOURCES.keys()
    for words in [*SAID_OF.values(), *PACKAGED, *(packaged.package for packaged in PACKAGED.values())]:
        assert words in PAGE
