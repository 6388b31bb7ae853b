"""What every backend is: options that cost nothing to read, a name in a table, and something that opens.

A backend is its options, a frozen pydantic model in a file that imports nothing heavy at the top, and what
`open(device)` returns, which has the seam's verb. Configuration, plan and keys need the options only; a worker is sent
the options and opens them once. A row of a table, or `module:Class` in a config, is the whole plug-in system.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from pipeline.errors import UnknownName, nearest


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model runs: 'cpu' or 'cuda:N', and how many threads it may use (never cores divided by workers)."""

    name: str = "cpu"
    threads: int = 1

    @property
    def kind(self) -> str:
        """'cpu' or 'cuda': answers are the same bits on one kind of device."""
        return self.name.partition(":")[0]


class Options(BaseModel):
    """What a user may set on a backend."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    looks: ClassVar[bool] = True
    """Whether the backend looks at pixels; where not, nothing is decoded ahead for it."""

    @property
    def by_name(self) -> bool:
        """Whether the backend knows a picture by its name, so that a renamed picture is another question."""
        return False

    def kind(self) -> str:
        """Which backend this is: two with the same settings are not the same."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

    def fingerprint(self, device: Device) -> dict[str, Any]:
        """All that an answer depends on besides the picture and the question: settings, weights, device kind, threads.

        Never a path: a file is named by its hash. Raises `ModelMissing` where a file of weights is not there.
        """
        return self.model_dump(mode="json")

    def fetch(self) -> None:
        """Get what is not on this machine yet; called before a run, never by a plan. Raises `ModelMissing`."""

    def provenance(self) -> dict[str, Any]:
        """What the run's config.yaml says of the model: file, sha256, licence."""
        return {}


def lookup(name: str, table: Mapping[str, str], kind: str) -> Any:
    """What is behind `name`: a row of `table`, or `package.module:Class`; raises `UnknownName`."""
    target = table.get(name, name)
    module, colon, attribute = target.partition(":")
    if not colon:
        raise UnknownName(
            f"no {kind} {name!r}{nearest(name, table)} (have {', '.join(sorted(table))}, or give module:Class)"
        )
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two: ':Class', '..module:Class'
        raise UnknownName(f"{kind} {name!r} cannot be imported: {error}") from error
