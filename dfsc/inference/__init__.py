"""A trained model's anomaly maps and image scores, and what they are worth: evaluation against the ground truth.

May import: data, model, training, metrics, settings. Is imported by: report.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    # By name, when it is asked for: scoring and evaluation neither load the detector nor depend on its code.
    if name == "Detector":
        return importlib.import_module("dfsc.inference.detector").Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
