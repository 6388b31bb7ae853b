"""Keep what C libraries print off the screen: libjpeg, libtiff and FFmpeg write to file descriptor 2 as they please."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def library_noise_to(path: Path) -> Iterator[None]:
    """File descriptor 2 leads to `path` inside the block, while `sys.stderr` still reaches the terminal.

    An empty log is removed afterwards. Where standard error is no real file, or `path` cannot be written, nothing is
    done.
    """
    try:
        screen = sys.stderr.fileno()
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab", buffering=0)
    except (OSError, ValueError, AttributeError):
        yield
        return
    before = sys.stderr
    with log, os.fdopen(os.dup(screen), "w", encoding="utf-8", errors="backslashreplace") as out:
        keep = os.dup(2)
        os.dup2(log.fileno(), 2)
        sys.stderr = out
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            out.flush()
            sys.stderr = before
            os.dup2(keep, 2)
            os.close(keep)
            if not os.fstat(log.fileno()).st_size:
                path.unlink(missing_ok=True)  # another start of the same run, which is locked out, may have done so
