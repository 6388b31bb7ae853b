"""Files of weights: where one is, and the hash that names it. Knows no model."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from pipeline.errors import ModelMissing
from pipeline.shipped import candidates, roots

FOLDER = "checkpoints"


def weights_file(name: str) -> Path:
    """Find a file of weights, as given or in a folder `checkpoints/`; raises `ModelMissing`."""
    for place in candidates(name, FOLDER, ()):
        if os.access(place, os.R_OK):
            return place
    if Path(name).is_absolute():
        raise ModelMissing(f"{name}: no such file that can be read; give the path of a file of weights")
    looked = ", ".join(str(root) for root in roots())
    raise ModelMissing(
        f"{name}: no such file that can be read in {looked}, nor in {FOLDER}/ of these;"
        f" put it into {FOLDER}/ or give its path"
    )


def sha256_of_file(path: str | Path) -> str:
    """Hash a file's bytes: 64 hex digits. Read once a process, unless the file changes; raises `OSError`."""
    file = Path(path).resolve()
    now = file.stat()
    return _hashed(file, now.st_size, now.st_mtime_ns, now.st_ino)


@lru_cache(maxsize=256)
def _hashed(file: Path, size: int, mtime_ns: int, inode: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
