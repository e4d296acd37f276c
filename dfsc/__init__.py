"""Reference benchmark pipeline for logical anomaly detection: DFSC against EfficientAD on MVTec LOCO AD."""

__version__ = "0.1.0"
