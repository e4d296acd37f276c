"""Speed, as ratios that hold on any machine, and which faults the tests notice: RESULTS.md. Run from the checkout."""

import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, cast

RANGES = ("Ge", "Gt", "Le", "Lt", "MultipleOf", "MinLen")
if find_spec("annotated_types") is None:
    # A GPU machine with little more than torch. `dfsc.settings` names its ranges in these terms and pydantic checks
    # them; here nobody does, so that any object will do. In the processes that a benchmark starts, too.
    sys.modules["annotated_types"] = cast(Any, SimpleNamespace(**dict.fromkeys(RANGES, str)))
