"""Films: what decoding them once shows, and their frames, upright, in order. Knows files, not tracks.

What a container claims (frames, rate, length) is believed only where decoding bears it out.
"""

from pipeline.films.decoding import Reader, decode, frames_of, numbered, pictures_of
from pipeline.films.pictures import as_pictures, numbers_of, put_pictures
from pipeline.films.probing import Film, folder, probe

__all__ = [
    "Film",
    "Reader",
    "as_pictures",
    "decode",
    "folder",
    "frames_of",
    "numbered",
    "numbers_of",
    "pictures_of",
    "probe",
    "put_pictures",
]
