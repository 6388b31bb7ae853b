"""The group of commands: the only place that catches our errors and turns them into exit codes."""

import errno
import os
import sys
from typing import Any

import click

from pipeline import __version__
from pipeline.errors import MaskletError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Whole(click.Group):
    """A group whose help has the first sentence of each command whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(200)) for name in self.list_commands(ctx)]
            )


class Edge(Whole):
    """The group at which an error of ours becomes its message and its exit code."""

    group_class = Whole

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except MaskletError as error:
            for line in str(error).splitlines() or [type(error).__name__]:
                click.echo(f"masklet: {line}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("masklet: stopped", err=True)
            ctx.exit(130)
        except Exception as error:
            if type(error).__module__ == "sqlite3":
                click.echo(f"masklet: run.db cannot be used: {error}; it is only a cache, delete it", err=True)
                ctx.exit(1)
            if getattr(error, "errno", None) == errno.ENOSPC:
                click.echo("masklet: the disk is full; make room and run the same command again", err=True)
                ctx.exit(12)
            if isinstance(error, OSError) and error.filename:
                click.echo(f"masklet: {error.filename}: {error.strerror}", err=True)
                ctx.exit(2)
            raise


@click.group(cls=Edge, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="masklet")
def main() -> None:
    """Words in, training datasets out.

    masklet turns a folder of pictures and films and an ontology (classes, and the words for them) into a dataset with
    masks and tracks.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices; more threads only spin
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them opens every installed package
    if "" not in sys.path:
        sys.path.insert(0, "")  # a config may name module:Class from the working folder
