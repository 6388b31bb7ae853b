"""Follow a run: a bar with rate and time left on a terminal, a line every few seconds elsewhere. Writes to stderr."""

import sys
import time
from types import TracebackType

LINE_EVERY_S = 5.0


class Progress:
    """Follows the parts of a run one after another."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, file=sys.stderr)
        self._bar: object | None = None
        self._task = 0
        self._begin("", 0)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begin(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.objects, self.aside = what, total, 0, 0, 0
        self.began = self.said = time.monotonic()

    def begin(self, what: str, total: int) -> None:
        """A part of the run begins, over so many pictures."""
        self._end()
        self._begin(what, total)
        if total and self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[so_far]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            bar.start()
            self._task = bar.add_task(what, total=total, so_far="")
            self._bar = bar

    def step(self, pictures: int, objects: int = 0, aside: int = 0) -> None:
        """So many pictures are done."""
        self.done += pictures
        self.objects += objects
        self.aside += aside
        rate = self.done / max(time.monotonic() - self.began, 1e-9)
        so_far = f"{rate:.1f}/s" + (f", {self.objects} objects" if self.objects else "")
        so_far += f", {self.aside} set aside" if self.aside else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, so_far=so_far)  # type: ignore[attr-defined]
        elif time.monotonic() - self.said >= LINE_EVERY_S:
            self.said = time.monotonic()
            left = (self.total - self.done) / max(rate, 1e-9)
            print(f"{self.what}: {self.done}/{self.total}, {so_far}, {left:.0f} s left", file=sys.stderr, flush=True)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]
            self._bar = None
