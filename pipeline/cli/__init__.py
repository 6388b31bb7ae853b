"""The command line: parse, call, print. Results go to stdout, words for people to stderr.

Imports wait until a command needs them: `masklet --help` costs no more than click.
"""

from pipeline.cli import comparing, corrections, datasets, demo, looking, models, reporting, runs
from pipeline.cli.group import main

__all__ = ["comparing", "corrections", "datasets", "demo", "looking", "main", "models", "reporting", "runs"]
