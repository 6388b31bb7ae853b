"""masklet: words in, training datasets out.

from pipeline import annotate
run = annotate("photos/", "dog, cat")
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What `pipeline.api` has, loaded when it is asked for: the package itself costs nothing."""
    if name in ("Run", "annotate", "open_run"):
        return getattr(import_module("pipeline.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
