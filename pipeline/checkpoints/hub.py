"""The Hub: what a name means there, what of it was downloaded before, and how to get the rest."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.checkpoints.hashes import FILES
from pipeline.checkpoints.known import KNOWN, WEIGHTS
from pipeline.errors import ModelMissing, first_line

HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
CARD = "README.md"
"""Downloaded with a model, because it says the licence."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository on the Hub, or one file of it, at a revision; None is its main branch."""

    repo: str
    revision: str | None
    file: str | None = None

    @property
    def command(self) -> str:
        """What would get it."""
        words = [self.repo, self.file or "", f"--revision {self.revision}" if self.revision else ""]
        return "hf download " + " ".join(word for word in words if word)


def wanted(name: str) -> Wanted | None:
    """What a name means on the Hub, a known model at its pinned commit; None where it means nothing there."""
    known = KNOWN.get(name)
    if known is not None:
        return Wanted(known.home, known.commit, None if known.file == WEIGHTS else known.file) if known.on_hub else None
    hub = HUB_ID.fullmatch(name)
    return Wanted(hub["repo"], hub["revision"]) if hub else None


def in_cache(name: str) -> Path | None:
    """What was downloaded before, whole: a folder, or a file; None where it was not."""
    want = wanted(name)
    if want is None:
        return None
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    if want.file:
        file = try_to_load_from_cache(want.repo, want.file, revision=want.revision)
        return Path(file) if isinstance(file, str) else None
    try:
        place = Path(snapshot_download(want.repo, revision=want.revision, local_files_only=True))
    except (OSError, ValueError):  # not there: LocalEntryNotFoundError is both
        return None
    whole = (place / "config.json").is_file() and any(place.glob("*.safetensors"))
    return place if whole else None


def download(name: str) -> None:
    """Get what a name means on the Hub; raises `ModelMissing` where that cannot be."""
    want = wanted(name)
    if want is None or offline():
        raise ModelMissing(how_to_get(name))
    from huggingface_hub import hf_hub_download, snapshot_download

    with _one_line(name, want.repo):
        if want.file:
            hf_hub_download(want.repo, want.file, revision=want.revision)
        else:
            snapshot_download(want.repo, revision=want.revision, allow_patterns=[*FILES, CARD])


def how_to_get(name: str) -> str:
    """Say in a line that a model of the Hub is not on this machine, and the command that gets it."""
    want, known = wanted(name), KNOWN.get(name)
    if want is None:
        return f"{name}: not on this machine" + (f"; {known.how_to_get}" if known else "")
    if offline():
        return f"{name}: not on this machine, and HF_HUB_OFFLINE is set; with a network: {want.command}"
    return f"{name}: not on this machine; `masklet run` downloads it, or: {want.command}"


def again(name: str) -> str:
    """What to do about files that are damaged, as the end of a line."""
    want = wanted(name)
    return f"get it again: {want.command} --force-download" if want else "get it again from who made it"


def offline() -> bool:
    """Whether the Hub's own switch says that nothing is to be asked of it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def _one_line(name: str, repo: str) -> Iterator[None]:
    """Whatever goes wrong on the way from the Hub, in one line: not in one for each of its attempts."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from huggingface_hub.utils import logging as said

    page, verbosity = f"https://huggingface.co/{repo}", said.get_verbosity()
    said.set_verbosity(logging.ERROR)
    try:
        yield
    except GatedRepoError as error:
        raise ModelMissing(
            f"{name}: is gated: ask for access at {page}, then: hf auth login && masklet models fetch {name}"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing(f"{name}: no {page}, or it is private; if it is yours: hf auth login") from error
    except Exception as error:
        raise ModelMissing(
            f"{name}: cannot be downloaded: {first_line(error).rstrip('.')}; or put its files into checkpoints/{name}"
        ) from error
    finally:
        said.set_verbosity(verbosity)
