"""masklet: words in, training datasets out."""

__version__ = "0.1.0"
