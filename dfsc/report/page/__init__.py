"""The page that people look at: static files, opened from disk or from any server, without a network.

index.html has the answer and the tables; assets/ has its style and scripts; data/, maps/ and images/ hold what a reader
asks for, loaded when it comes into view. May import what its room may.
"""

from functools import cache
from pathlib import Path

from dfsc.files import digest_of, sha256_of

TEMPLATES, ASSETS = (Path(__file__).parent / name for name in ("templates", "assets"))


@cache
def drawn_with() -> str:
    """SHA-256 over the templates, scripts and styles of the page, which no digest of code covers."""
    files = sorted([*TEMPLATES.iterdir(), *ASSETS.iterdir()])
    return digest_of({f"{file.parent.name}/{file.name}": sha256_of(file) for file in files})
