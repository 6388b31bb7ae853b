"""Who works where a runner puts a batch: on pictures or on a segment of a film, with the same models."""

from collections.abc import Sequence

from pipeline.film_work import FilmWorker
from pipeline.jobs import Answer, Job
from pipeline.media import Picture
from pipeline.models import Models
from pipeline.stages import Stage
from pipeline.work import Worker


class Crew:
    """Opens each model once, when first needed. Batches may come from several threads."""

    def __init__(self, stages: Sequence[Stage], film_stages: Sequence[Stage] = ()) -> None:
        models = Models()
        self._pictures = Worker(stages, models)
        self._films = FilmWorker(film_stages[:-1], models)

    def read(self, jobs: Sequence[Job]) -> list[Picture]:
        """The pictures of a batch, decoded ahead where a model is going to look at them; of a film nothing."""
        return [] if _of_a_film(jobs) else self._pictures.read(jobs)

    def __call__(self, jobs: Sequence[Job], pictures: Sequence[Picture] | None = None) -> Answer:
        """One outcome a job: a batch of pictures, or one segment. Raises only what concerns every clip."""
        return self._films(jobs[0]) if _of_a_film(jobs) else self._pictures(jobs, pictures)


def _of_a_film(jobs: Sequence[Job]) -> bool:
    return any(job.following for job in jobs)
